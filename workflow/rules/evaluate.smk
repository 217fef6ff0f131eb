rule evaluate:
    input:
        checkpoint=checkpoint_of,
        manifest=manifest_of,
    output:
        record=RECORD,
        arrays=RECORD.replace(".json", ".npz"),
    log:
        f"{LOGS}/{MEASURED}.log",
    benchmark:
        f"{BENCHMARKS}/{MEASURED}.tsv"
    wildcard_constraints:
        method="|".join(METHODS),
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory_mb,
        gpu=GPUS,
        runtime=runtime_min,
    params:
        configured=configured,
        features=FEATURES,
        key=lambda w: keys.scores_key(suite_of(w), w.method, w.task),
        drawn=lambda w: f"--sampling-amplitude {w.drawn[2:]}" if w.drawn else "",
        checkpoint=lambda w, input: str(Path(input.checkpoint[0]).parent),
    shell:
        "python -m semflow evaluate {params.configured} --method {wildcards.method} --task {wildcards.task}"
        " --checkpoint {params.checkpoint} --sampler {wildcards.sampler} {params.drawn}"
        " --training-seed {wildcards.seed} --sampling-seed {wildcards.sample} --cache {params.features}"
        " --threads {threads} --out {output.record} 2>&1 | tee -i {log}  # {params.key}"


rule evaluate_control:
    input:
        manifest_of,
    output:
        record=RECORD,
        arrays=RECORD.replace(".json", ".npz"),
    log:
        f"{LOGS}/{MEASURED}.log",
    benchmark:
        f"{BENCHMARKS}/{MEASURED}.tsv"
    wildcard_constraints:
        method="|".join(CONTROLS),
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=memory_mb,
        gpu=lambda w: GPUS if part_of(w).autoencoder.kind == "kl" else 0,
        runtime=runtime_min,
    params:
        configured=configured,
        features=FEATURES,
        key=lambda w: keys.scores_key(part_of(w), w.method, w.task),
    shell:
        "python -m semflow evaluate {params.configured} --method {wildcards.method} --task {wildcards.task}"
        " --cache {params.features} --threads {threads} --out {output.record} 2>&1 | tee -i {log}  # {params.key}"
