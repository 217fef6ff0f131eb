rule evaluate:
    input:
        rules.train.output,
    output:
        record=RECORD,
        arrays=RECORD.replace(".json", ".npz"),
    log:
        f"{LOGS}/{{method}}{{variant}}-{{task}}-{{sampler}}{{drawn}}-train{{seed}}-sample{{sample}}.log",
    benchmark:
        f"{BENCHMARKS}/{{method}}{{variant}}-{{task}}-{{sampler}}{{drawn}}-train{{seed}}-sample{{sample}}.tsv"
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
        features=FEATURES,
        key=lambda w: provenance.scores_key(suite_of(w), w.method, w.task),
        perturbed=perturbed,
        drawn=lambda w: f"--sampling-amplitude {w.drawn[2:]}" if w.drawn else "",
        checkpoint=lambda w, input: str(Path(input[0]).parent),
    shell:
        "python -m semflow evaluate --config {params.config} --method {wildcards.method} --task {wildcards.task}"
        " --checkpoint {params.checkpoint} --sampler {wildcards.sampler} {params.perturbed} {params.drawn}"
        " --training-seed {wildcards.seed} --sampling-seed {wildcards.sample} --cache {params.features}"
        " --threads {threads} --out {output.record} 2>&1 | tee -i {log}  # {params.key}"


rule evaluate_control:
    output:
        record=RECORD,
        arrays=RECORD.replace(".json", ".npz"),
    log:
        f"{LOGS}/{{method}}{{variant}}-{{task}}-{{sampler}}{{drawn}}-train{{seed}}-sample{{sample}}.log",
    benchmark:
        f"{BENCHMARKS}/{{method}}{{variant}}-{{task}}-{{sampler}}{{drawn}}-train{{seed}}-sample{{sample}}.tsv"
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
        features=FEATURES,
        key=lambda w: provenance.scores_key(SUITE, w.method, w.task),
    shell:
        "python -m semflow evaluate --config {params.config} --method {wildcards.method} --task {wildcards.task}"
        " --cache {params.features} --threads {threads} --out {output.record} 2>&1 | tee -i {log}  # {params.key}"
