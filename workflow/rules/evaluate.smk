# One rule a checkpoint, and one for the controls: the process opens model and data once. Snakemake deletes declared outputs before
# a job, so records are kept in an undeclared store as they are made, and linked from there: a job that was stopped goes on.
for job in products.evaluation_jobs(STUDY):
    kind = "evaluate" if job.checkpoint else "evaluate_control"

    rule:
        "Evaluates a checkpoint, or the controls of a data set: a record a task, sampler and seed."
        name:
            re.sub(r"\W", "_", f"{kind}_{job.name}")
        input:
            manifest_of(job.suite),
            checkpoint=checkpoint_of(job),
            judges=[checkpoint_path(job.suite, judge) for judge in job.judges],
        output:
            records=job.records,
            arrays=[path.replace(".json", ".npz") for path in job.records],
        log:
            f"{LOGS}/{job.name}.log",
        benchmark:
            f"{BENCHMARKS}/{job.name}.tsv"
        conda:
            "../../environment.yml"
        threads: asked_threads(kind)
        resources:
            **asked(
                kind,
                mem_mb=memory_mb(job.suite),
                gpu=GPUS * int(kind == "evaluate" or job.suite.autoencoder.learned),
                runtime=(1440 if job.suite.is_large else 240) * len(job.evaluations),
            ),
        params:
            suite=of_suite(job.suite.data.name),
            options=job.options,
            checkpoint=fetched_checkpoint,
            judges=lambda w, input: f"--judges {input.judges}" if input.judges else "",
            store=f"{STORE}/evaluated/{job.suite.data.name}",
            features=FEATURES,
            key=job.key,
        shell:
            "python -m semflow evaluate {params.suite} {params.options} {params.checkpoint} {params.judges} --all --store {params.store}"
            " --cache {params.features} --threads {threads} --out {output.records} 2>&1 | tee -i {log}  # {params.key}"
