"""The REST API as the platform has it."""

import hashlib
import tomllib
from datetime import UTC, datetime
from typing import Annotated

from dissmodel.executor.schemas import ExperimentRecord, InlineJobRequest, JobRequest, JobResponse
from fastapi import Depends, FastAPI, File, Form, HTTPException, UploadFile
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader
from pydantic import BaseModel

from platform_server.work import INPUTS

header = APIKeyHeader(name="X-API-Key", auto_error=True)


class Refusal(BaseModel):
    """What the server says when it does not do what it was asked for."""

    detail: str


def make_app(work, key):  # noqa: C901, PLR0915 -- one function a route, as FastAPI reads best
    def require(given: Annotated[str, Depends(header)]):
        if given != key:
            raise HTTPException(status_code=403, detail="Invalid API key")

    app = FastAPI(responses={status: {"model": Refusal} for status in (400, 401, 403, 404, 500)})
    auth = [Depends(require)]

    def find(experiment_id):
        try:
            return work.find(experiment_id)
        except KeyError:
            raise HTTPException(status_code=404, detail=f"Experiment '{experiment_id}' not found") from None

    def told(record):
        return JobResponse(
            job_id=record.experiment_id,
            experiment_id=record.experiment_id,
            status=record.status,
            model_name=record.model_name,
            created_at=record.created_at,
            output_path=record.output_path,
            output_sha256=record.output_sha256,
            input_sha256=record.source.checksum or None,
            logs=record.logs,
        )

    @app.get("/health")
    def health():
        work.s3.head_bucket(Bucket=INPUTS)
        return {"status": "healthy", "timestamp": datetime.now(UTC).isoformat()}

    @app.get("/models", dependencies=auth)
    def models():
        tables = {name: tomllib.loads(text).get("model", {}) for name, text in work.registry.items()}
        return {
            "models": [
                {"name": name, "class": table.get("class", ""), "description": table.get("description", "")}
                for name, table in sorted(tables.items())
            ]
        }

    @app.get("/models/{name}", dependencies=auth)
    def model(name: str):
        if name not in work.registry:
            raise HTTPException(status_code=404, detail=f"Model '{name}' not found in registry.")
        return {"model_name": name, "spec": tomllib.loads(work.registry[name])}

    @app.post("/submit_job", response_model=JobResponse, dependencies=auth)
    def submit(request: JobRequest):
        if request.model_name not in work.registry:
            raise HTTPException(status_code=404, detail=f"Model '{request.model_name}' not found in registry.")
        record = work.registered(request)
        work.enqueue(record, request.priority)
        return told(record)

    @app.post("/submit_job_inline", response_model=JobResponse, dependencies=auth)
    def submit_inline(request: InlineJobRequest):
        record = work.inline(request)
        work.enqueue(record)
        return told(record)

    @app.get("/job/{experiment_id}", response_model=JobResponse, dependencies=auth)
    def job(experiment_id: str):
        return told(find(experiment_id))

    @app.get("/jobs", dependencies=auth)
    def jobs(limit: int = 100, status: str | None = None):
        records = [ExperimentRecord.model_validate_json(text) for text in list(work.records.values())]
        rows = [told(record).model_dump() for record in records if status in (None, record.status)]
        rows.sort(key=lambda row: row["created_at"], reverse=True)  # naive beside aware: TypeError, so 500
        return {"experiments": rows[:limit], "total": len(rows)}

    @app.delete("/job/{experiment_id}", dependencies=auth)
    def cancel(experiment_id: str):
        record = find(experiment_id)
        if record.status in ("completed", "failed"):
            raise HTTPException(status_code=400, detail="Cannot cancel a completed or failed experiment")
        record.status = "cancelled"
        record.add_log("Cancelled via API")
        work.keep(record)
        return {"message": "Experiment cancelled", "experiment_id": experiment_id}

    @app.post("/experiments/{experiment_id}/reproduce", response_model=JobResponse, dependencies=auth)
    def reproduce(experiment_id: str):
        original = find(experiment_id)
        kept = (
            "model_name",
            "model_commit",
            "code_version",
            "resolved_spec",
            "input_format",
            "column_map",
            "band_map",
        )
        record = ExperimentRecord(
            **{name: getattr(original, name) for name in kept},
            source=original.source.model_copy(),
            parameters=original.parameters,
        )
        record.add_log(f"Reproducing experiment={experiment_id}")
        work.enqueue(record)
        return told(record)

    @app.post("/data/upload", dependencies=auth)
    def upload(file: Annotated[UploadFile, File()], label: Annotated[str, Form()]):
        content = file.file.read()
        path = f"inputs/{label}/{file.filename}"
        if not path.isprintable() or {"", ".", ".."} & set(path.split("/")):
            raise HTTPException(status_code=400, detail="No label and file name that a bucket can keep")
        work.s3.put_object(Bucket=INPUTS, Key=path, Body=content)
        return {
            "uri": f"s3://{INPUTS}/{path}",
            "label": label,
            "checksum": hashlib.sha256(content).hexdigest(),
            "size_mb": round(len(content) / 1e6, 2),
        }

    @app.get("/download", dependencies=auth)
    def download(uri: str, expires_hours: int = 1):
        if not uri.startswith("s3://") or "/" not in uri.removeprefix("s3://"):
            raise HTTPException(status_code=400, detail="Expected s3://bucket/object")
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        signed = {"Params": {"Bucket": bucket, "Key": key}, "ExpiresIn": expires_hours * 3600}
        return {"url": work.s3.generate_presigned_url("get_object", **signed), "expires_in_hours": expires_hours}

    @app.exception_handler(Exception)
    def broken(request, error):
        return JSONResponse(status_code=500, content={"detail": "Internal server error"})

    return app
