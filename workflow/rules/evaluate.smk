rule evaluate:
    input:
        rules.train.output,
    output:
        RECORD,
        RECORD.replace(".json", ".npz"),
    log:
        LOGS + "/evaluate-{method}-{sampler}-{steps}-train{seed}-sample{sample}.log",
    benchmark:
        BENCHMARKS + "/evaluate-{method}-{sampler}-{steps}-train{seed}-sample{sample}.tsv"
    params:
        config=CONFIG,
        key=lambda w: provenance.scores_key(SUITE, w.method),
        checkpoint=CHECKPOINT,
    wildcard_constraints:
        method="|".join(METHODS),
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
    conda:
        "../../environment.yml"
    shell:
        "python -m semflow evaluate --config {params.config} --method {wildcards.method}"
        " --checkpoint {params.checkpoint} --sampler {wildcards.sampler}-{wildcards.steps} --threads {threads}"
        " --training-seed {wildcards.seed} --sampling-seed {wildcards.sample} --out {output[0]}"
        " 2>&1 | tee {log}  # {params.key}"


rule evaluate_control:
    output:
        RECORD,
        RECORD.replace(".json", ".npz"),
    log:
        LOGS + "/evaluate-{method}-{sampler}-{steps}-train{seed}-sample{sample}.log",
    benchmark:
        BENCHMARKS + "/evaluate-{method}-{sampler}-{steps}-train{seed}-sample{sample}.tsv"
    params:
        config=CONFIG,
        key=lambda w: provenance.scores_key(SUITE, w.method),
    wildcard_constraints:
        method="|".join(CONTROLS),
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    conda:
        "../../environment.yml"
    shell:
        "python -m semflow evaluate --config {params.config} --method {wildcards.method} --threads {threads}"
        " --out {output[0]} 2>&1 | tee {log}  # {params.key}"
