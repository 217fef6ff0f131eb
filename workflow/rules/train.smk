rule prepare:
    "Unpacks and merges what is there of a data set, and compares it with the official counts; fetches nothing."
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
        root=lambda w: dataset_of(w).data.folder,
        key=lambda w: keys.data_stamps(dataset_of(w)),
    shell:
        "python -m semflow data prepare {wildcards.data} {params.root:q} --out {output} 2>&1 | tee -i {log}  # {params.key}"


rule train:
    "Trains a method from a seed, and goes on from the last state of a training that was stopped."

    # The state of an unfinished training lives in an undeclared folder, since Snakemake deletes declared outputs
    # before a job. Its name is a hash of all that determines the weights.
    input:
        lambda w: manifest_of(dataset_of(w)),
    output:
        directory(CHECKPOINT),
    log:
        f"{LOGS}/{TRAINING}.log",
    benchmark:
        f"{BENCHMARKS}/{TRAINING}.tsv"
    conda:
        "../../environment.yml"
    threads: threads_for_training()
    resources:
        mem_mb=lambda w: memory_mb(dataset_of(w)),
        gpu=GPUS,
        runtime=lambda w: 10080 if dataset_of(w).is_large else 720,  # a week; what is cut off goes on when it is started again
    params:
        configured=configured,
        state=lambda w: f"{STORE}/state/{w.method}-{keys.weights_key(suite_of(w), w.method, int(w.seed))}",
    shell:
        "python -m semflow train {params.configured} --method {wildcards.method} --seed {wildcards.seed}"
        " --threads {threads} --devices {resources.gpu} --state {params.state} --out {output}"
        " 2>&1 | tee -ai {log}"
