rule train:
    # The state of an unfinished training lives in an undeclared folder, since Snakemake deletes declared outputs
    # before a job. Its name is a hash of all that determines the weights.
    output:
        f"{CHECKPOINT}/config.json",
        f"{CHECKPOINT}/diffusion_pytorch_model.safetensors",
        f"{CHECKPOINT}/semflow.json",
    log:
        f"{LOGS}/train-{{method}}{{variant}}-seed{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/train-{{method}}{{variant}}-seed{{seed}}.tsv"
    wildcard_constraints:
        method="|".join(METHODS),
    conda:
        "../../environment.yml"
    threads: threads_for_training()
    resources:
        mem_mb=4000,
        gpu=GPUS,
        runtime=720,
    params:
        config=CONFIG,
        perturbed=perturbed,
        state=lambda w: f"{STATE}/{w.method}-{provenance.weights_key(suite_of(w), w.method, int(w.seed))}",
        out=lambda w, output: str(Path(output[0]).parent),
    shell:
        "python -m semflow train --config {params.config} --method {wildcards.method} --seed {wildcards.seed}"
        " {params.perturbed} --threads {threads} --state {params.state} --out {params.out}"
        " 2>&1 | tee -ai {log}"
