rule prepare:
    # Unpacks and merges what is there, and holds it against the official counts; fetches nothing.
    output:
        MANIFEST,
    log:
        f"{LOGS}/prepare-{{data}}.log",
    benchmark:
        f"{BENCHMARKS}/prepare-{{data}}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=720,
    params:
        root=lambda w: part_of(w).data.folder,
        key=lambda w: keys.data_stamps(part_of(w)),
    shell:
        "python -m semflow data prepare {wildcards.data} {params.root:q} --out {output} 2>&1 | tee -i {log}  # {params.key}"


rule train:
    # The state of an unfinished training lives in an undeclared folder, since Snakemake deletes declared outputs
    # before a job. Its name is a hash of all that determines the weights.
    input:
        manifest_of,
    output:
        [f"{CHECKPOINT}/{name}" for name in WEIGHTS],
    log:
        f"{LOGS}/{BY_DATA}train-{{method}}{{variant}}-seed{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/{BY_DATA}train-{{method}}{{variant}}-seed{{seed}}.tsv"
    wildcard_constraints:
        method="|".join(METHODS),
    conda:
        "../../environment.yml"
    threads: threads_for_training()
    resources:
        mem_mb=memory_mb,
        gpu=GPUS,
        runtime=runtime_min,
    params:
        configured=configured,
        state=lambda w: f"{STATE}/{w.method}-{keys.weights_key(suite_of(w), w.method, int(w.seed))}",
        out=lambda w, output: str(Path(output[0]).parent),
    shell:
        "python -m semflow train {params.configured} --method {wildcards.method} --seed {wildcards.seed}"
        " --threads {threads} --devices {resources.gpu} --state {params.state} --out {params.out}"
        " 2>&1 | tee -ai {log}"
