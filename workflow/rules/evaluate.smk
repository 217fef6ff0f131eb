rule evaluate:
    input:
        rules.train.output,
    output:
        record=RECORD,
        arrays=RECORD.replace(".json", ".npz"),
    log:
        f"{LOGS}/evaluate-{{method}}-{{sampler}}-{{steps}}-train{{seed}}-sample{{sample}}.log",
    benchmark:
        f"{BENCHMARKS}/evaluate-{{method}}-{{sampler}}-{{steps}}-train{{seed}}-sample{{sample}}.tsv"
    wildcard_constraints:
        method="|".join(METHODS),
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=4000,
        gpu=GPUS,
        runtime=240,
    params:
        config=CONFIG,
        key=lambda w: provenance.scores_key(SUITE, w.method),
        checkpoint=lambda w, input: str(Path(input[0]).parent),
    shell:
        "python -m semflow evaluate --config {params.config} --method {wildcards.method}"
        " --checkpoint {params.checkpoint} --sampler {wildcards.sampler}-{wildcards.steps} --threads {threads}"
        " --training-seed {wildcards.seed} --sampling-seed {wildcards.sample} --out {output.record}"
        " 2>&1 | tee -i {log}  # {params.key}"


rule evaluate_control:
    output:
        record=RECORD,
        arrays=RECORD.replace(".json", ".npz"),
    log:
        f"{LOGS}/evaluate-{{method}}-{{sampler}}-{{steps}}-train{{seed}}-sample{{sample}}.log",
    benchmark:
        f"{BENCHMARKS}/evaluate-{{method}}-{{sampler}}-{{steps}}-train{{seed}}-sample{{sample}}.tsv"
    wildcard_constraints:
        method="|".join(CONTROLS),
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        config=CONFIG,
        key=lambda w: provenance.scores_key(SUITE, w.method),
    shell:
        "python -m semflow evaluate --config {params.config} --method {wildcards.method} --threads {threads}"
        " --out {output.record} 2>&1 | tee -i {log}  # {params.key}"
