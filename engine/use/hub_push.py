"""Sending a folder to the Hub in one commit."""

from __future__ import annotations

from pathlib import Path

from engine.emit import Emit
from engine.errors import UserError
from engine.use.staging import MARK


def push(folder: Path, repository: str, private: bool, emit: Emit) -> str:
    """Create the repository and push everything in one commit; an interrupted push is made again whole."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

    api = HfApi()
    try:
        emit({"progress": {"phase": "publishing", "detail": f"creating {repository}"}})
        api.create_repo(repository, private=private, exist_ok=True)
        emit({"progress": {"phase": "publishing", "detail": "sending files"}})
        commit = api.upload_folder(
            repo_id=repository, folder_path=folder, commit_message="Fine-tuned with Tunewright", ignore_patterns=[MARK]
        )
    except (LocalTokenNotFoundError, OfflineModeIsEnabled) as error:
        fix = "Log in once: hf auth login. And unset HF_HUB_OFFLINE."
        raise UserError("The Hub cannot be used from here.", repository, fix, exit_code=1) from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        fix = "Log in with a token that may write: hf auth login." if status in {401, 403} else "Try again later."
        raise UserError(f"The Hub refused the push (status {status}).", repository, fix, exit_code=1) from error
    except (OSError, ValueError, RuntimeError) as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        fix = "Nothing is visible in the repository before the push is whole. Try again."
        raise UserError(f"The push broke off: {line}", repository, fix, exit_code=1) from error
    return str(commit.commit_url)
