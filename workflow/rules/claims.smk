# What the paper claims, judged on the records, and whether the numbers moved.
REFERENCE = f"results/reference/{STUDY.name}.json"

if "accept_reference" in sys.argv and not REASON.strip():
    raise WorkflowError(
        "accept_reference needs a reason, which the reference keeps: --config reason='...'"
    )


rule claims:
    input:
        ALL_RECORDS,
    output:
        report(
            CLAIMS,
            caption="../report/claims.rst",
            category="Verdicts",
            labels={"verdicts": "every claim", "form": "data"},
        ),
        report(
            f"{REPORTS}/claims.md",
            caption="../report/claims.rst",
            category="Verdicts",
            labels={"verdicts": "every claim", "form": "text"},
        ),
        report(
            f"{REPORTS}/claims.svg",
            caption="../report/claims.rst",
            category="Verdicts",
            labels={"verdicts": "how many of each", "form": "badge"},
        ),
    log:
        f"{LOGS}/claims.log",
    benchmark:
        f"{BENCHMARKS}/claims.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        key=f"{code_of('semflow.claims.verdicts', 'semflow.report.claims_text')}-{PUBLISHED['claims']}-{PUBLISHED[1]}-{PUBLISHED[2]}",
    shell:
        "python -m semflow report claims --records {input} --out {output} 2>&1 | tee -i {log}  # {params.key}"


rule check_drift:
    input:
        ALL_RECORDS,
    log:
        f"{LOGS}/check_drift.log",
    conda:
        "../../environment.yml"
    params:
        reference=REFERENCE,
    shell:
        "python -m semflow regression check --records {input} --reference {params.reference} 2>&1 | tee -i {log}"


rule accept_reference:
    input:
        ALL_RECORDS,
    log:
        f"{LOGS}/accept_reference.log",
    conda:
        "../../environment.yml"
    params:
        reference=REFERENCE,
        reason=REASON,
    shell:
        "python -m semflow regression accept --records {input} --reference {params.reference} --reason {params.reason:q}"
        " 2>&1 | tee -i {log}"
