# Notebooks, executed on the suite's records.


rule notebook:
    "Executes a notebook on the suite's records, and shows it as a page."

    # Executed into the logs, so that a half-run one is kept, and copied from there when every cell ran.
    input:
        records=lambda w: ALL_RECORDS if w.notebook == "review" else [],
        claims=lambda w: CLAIMS if w.notebook == "review" else [],
        checkpoint=lambda w: SHOWN if w.notebook == "explore" else [],
    output:
        ipynb=f"{REPORTS}/notebooks/{{notebook}}.ipynb",
        html=report(
            f"{REPORTS}/notebooks/{{notebook}}.html",
            caption="../report/notebook.rst",
            category="Notebooks",
            labels={"notebook": "{notebook}"},
        ),
    log:
        text=f"{LOGS}/notebooks/{{notebook}}.log",
    benchmark:
        f"{BENCHMARKS}/notebook-{{notebook}}.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        source=f"{SOURCES}/notebooks/{{notebook}}.ipynb",
        templates=f"{SOURCES}/notebooks",
        parameters=lambda w, input: json.dumps(
            {"records": KEPT or f"{RESULTS}/records", "claims": input.claims}
            if w.notebook == "review"
            else {"checkpoint": input.checkpoint, "config": CONFIG}
        ),
        key=lambda w: notebook_key(f"{SOURCES}/notebooks/{w.notebook}.ipynb"),
    shell:
        "run={log.text}; run=${{run%.log}}.ipynb; ("
        "python -m papermill --no-progress-bar --cwd . {params.source:q} $run --parameters_yaml {params.parameters:q}"
        " && cp $run {output.ipynb}"
        " && python -m nbconvert --to html --TemplateExporter.extra_template_basedirs={params.templates:q} --template offline"
        " --TagRemovePreprocessor.enabled=True --TagRemovePreprocessor.remove_cell_tags=parameters"
        " --TagRemovePreprocessor.remove_cell_tags=injected-parameters {output.ipynb}"
        ") 2>&1 | tee -i {log.text}  # {params.key}"
