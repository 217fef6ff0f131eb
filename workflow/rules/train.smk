rule train:
    # The state of an unfinished training lives in an undeclared folder, since Snakemake deletes declared outputs
    # before a job. Its name is a hash of all that determines the weights.
    output:
        CHECKPOINT + "/config.json",
        CHECKPOINT + "/diffusion_pytorch_model.safetensors",
        CHECKPOINT + "/semflow.json",
    log:
        LOGS + "/train-{method}-seed{seed}.log",
    benchmark:
        BENCHMARKS + "/train-{method}-seed{seed}.tsv"
    params:
        config=CONFIG,
        key=lambda w: provenance.weights_key(SUITE, w.method, int(w.seed)),
        state=RESULTS + "/state",
        out=CHECKPOINT,
    wildcard_constraints:
        method="|".join(METHODS),
    threads: threads_for_training()
    resources:
        mem_mb=4000,
        runtime=720,
    conda:
        "../../environment.yml"
    shell:
        "python -m semflow train --config {params.config} --method {wildcards.method} --seed {wildcards.seed}"
        " --threads {threads} --state {params.state}/{wildcards.method}-{params.key} --out {params.out}"
        " 2>&1 | tee {log}"
