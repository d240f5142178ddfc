"""MLflow: a run with artifacts in a bucket, which are listed, downloaded and compared.

Usage: track_artifacts.py s3://BUCKET/PREFIX FOLDER; the endpoint is MLFLOW_S3_ENDPOINT_URL.
"""

import filecmp
import os
import random
import sys

import mlflow

SIZES = (0, 1, 70_000, 3 << 20, 20 << 20)


def main():
    remote, folder = sys.argv[1:]
    mlflow.set_tracking_uri("file://" + os.path.join(folder, "tracking"))
    experiment = mlflow.create_experiment("artifacts", artifact_location=remote)
    made = os.path.join(folder, "made")
    os.makedirs(os.path.join(made, "weights"))
    for index, size in enumerate(SIZES):
        with open(os.path.join(made, "weights", "layer %d ü.bin" % index), "wb") as file:
            file.write(random.Random(index).randbytes(size))
    with mlflow.start_run(experiment_id=experiment) as run:
        mlflow.log_param("layers", len(SIZES))
        mlflow.log_artifacts(made, artifact_path="model")
        mlflow.log_text("notes", "notes.txt")
        mlflow.log_dict({"a": [1, 2]}, "config/settings.json")
    client = mlflow.MlflowClient()
    listed = [entry.path for entry in client.list_artifacts(run.info.run_id)]
    assert sorted(listed) == ["config", "model", "notes.txt"], listed
    back = mlflow.artifacts.download_artifacts(
        run_id=run.info.run_id, artifact_path="model", dst_path=os.path.join(folder, "back"))
    names = os.listdir(os.path.join(made, "weights"))
    same, different, failed = filecmp.cmpfiles(
        os.path.join(made, "weights"), os.path.join(back, "weights"), names, shallow=False)
    assert len(same) == len(SIZES) and not different and not failed, (different, failed)
    uri = run.info.artifact_uri + "/notes.txt"
    assert mlflow.artifacts.load_text(uri) == "notes"
    repository = mlflow.store.artifact.artifact_repository_registry.get_artifact_repository(
        run.info.artifact_uri)
    repository.delete_artifacts("config")
    listed = [entry.path for entry in client.list_artifacts(run.info.run_id)]
    assert sorted(listed) == ["model", "notes.txt"], listed
    print("mlflow %s" % mlflow.__version__)


if __name__ == "__main__":
    main()
