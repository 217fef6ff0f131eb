# One rule a checkpoint, and one for the controls: the process opens model and data once. Snakemake deletes declared outputs before
# a job, so records are kept in an undeclared store as they are made, and linked from there: a job that was stopped goes on.
for job in evaluation_jobs():
    kind = "evaluate_control" if job.of is None else "evaluate"

    rule:
        name:
            f"{kind}_{job.name}".replace("-", "_").replace(".", "_")
        input:
            manifest_of(job.suite),
            checkpoint=checkpoint_of(job),
        output:
            records=[runs.record_path(e, job.suite) for e in job.evaluations],
            arrays=[
                runs.record_path(e, job.suite).replace(".json", ".npz")
                for e in job.evaluations
            ],
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
                gpu=GPUS if job.of or job.suite.autoencoder.kind == "kl" else 0,
                runtime=(1440 if is_large(job.suite) else 240) * len(job.evaluations),
            ),
        params:
            words=job.words,
            checkpoint=f"--checkpoint {checkpoint_of(job)}" if job.of else "",
            features=FEATURES,
            key=scores_of(job),
        shell:
            "python -m semflow evaluate {params.words} {params.checkpoint} --all --cache {params.features}"
            " --threads {threads} --out {output.records} 2>&1 | tee -i {log}  # {params.key}"
