"""Objects in a bucket, by s3fs: listed, and opened from any byte on."""

from __future__ import annotations

import functools
from contextlib import asynccontextmanager
from datetime import UTC
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from dissmodel_lab.errors import SourceError
from dissmodel_lab.language import message
from dissmodel_lab.sources.addresses import Address
from dissmodel_lab.sources.answers import PASSING, Answer, Facts, PassingError, unreachable
from dissmodel_lab.sources.credentials import S3Options, s3_options, time_limits
from dissmodel_lab.sources.hashing import MOST_FILES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_BLOCK = 256 * 1024


class Listed(NamedTuple):
    """An object that a listing names."""

    key: str
    bytes: int
    etag: str


class Bucket:
    """
    A bucket, opened with the credentials of the environment.

    Parameters
    ----------
    address : Address
        Of kind ``s3``: an object, or a folder's name.
    options : S3Options, optional
        Other credentials than the environment's.

    Examples
    --------
    >>> from dissmodel_lab.sources.addresses import parse
    >>> Bucket(parse("s3://b/x.tif"), S3Options(anonymous=True)).options.server
    'Amazon S3'
    """

    def __init__(self, address: Address, options: S3Options | None = None) -> None:
        self.address = address
        self.options = options or s3_options(address)
        self._files: Any = None

    def _opened(self) -> Any:
        if self._files is None:
            self._files = _file_system()(**self.options.s3fs())  # fsspec keeps one for each set of options
        return self._files

    async def _call(self, method: str, **given: Any) -> Any:
        given = {name: value for name, value in given.items() if value}
        try:
            return await self._opened()._call_s3(method, Bucket=self.address.bucket, **given)  # noqa: SLF001 -- fsspec's name for what is awaited
        except Exception as error:
            raise self._problem(error) from error

    @asynccontextmanager
    async def open(
        self, start: int = 0, known: Facts | None = None, *, is_check: bool = False, key: str = ""
    ) -> AsyncIterator[Answer]:
        """
        Ask for the object, or another one of the bucket, as :meth:`WebFile.open` asks for a file.

        Raises
        ------
        SourceError, PassingError
            As there.
        """
        given: dict[str, Any] = {"Key": key or self.address.key, "VersionId": "" if key else self.address.version_id}
        if is_check and known is not None:
            given["IfNoneMatch"] = known.etag
        elif start and known is not None and known.etag:
            given |= {"Range": f"bytes={start}-", "IfMatch": known.etag}
        try:
            found = await self._call("get_object", **given)
        except _NoContentError as state:
            yield Answer(known or Facts(), start=-1, is_unchanged=state.is_unchanged)
            return
        body = found["Body"]
        try:
            yield self._answer(found, start if "Range" in given else 0)
        finally:
            body.close()

    async def head(self) -> Facts:
        """
        Ask for the object, or for a folder's first one, and read nothing of it.

        Raises
        ------
        SourceError, PassingError
            As :meth:`open`.
        """
        if self.address.is_folder:
            await self.listed(most=1)
            return Facts()
        async with self.open() as answer:
            return answer.facts

    async def listed(self, prefix: str = "", most: int = MOST_FILES) -> list[Listed]:
        """
        Return the objects whose names begin so.

        Parameters
        ----------
        prefix : str
            The address' folder when not given.
        most : int
            How many are wanted; 1 only asks whether there is any.

        Raises
        ------
        SourceError
            When there is none, or there are too many.
        """
        wanted = prefix or self.address.key.rstrip("/") + "/"
        found: list[Listed] = []
        more = ""
        while True:
            page = await self._call("list_objects_v2", Prefix=wanted, ContinuationToken=more, MaxKeys=min(most, 1000))
            found += [
                Listed(item["Key"], int(item["Size"]), item.get("ETag", ""))
                for item in page.get("Contents", ())
                if not item["Key"].endswith("/")
            ]
            more = page.get("NextContinuationToken", "")
            if len(found) > most > 1:
                raise SourceError(
                    message(
                        "The input '{text}' is a folder of more than {most:,} objects. Name one in it.",
                        text=self.address.text,
                        most=most,
                    )
                )
            if not more or most == 1:
                break
        if not found and not prefix:
            raise SourceError(
                message(
                    "The input '{text}' does not exist: nothing in the bucket {bucket!r} of {server} begins so. "
                    "Check the address.",
                    text=self.address.text,
                    bucket=self.address.bucket,
                    server=self.options.server,
                )
            )
        return found

    def _answer(self, found: dict[str, Any], start: int) -> Answer:
        said, total = str(found.get("ContentRange", "")), found.get("ContentLength")
        if said:
            total = int(said.rpartition("/")[2])
            if not said.startswith(f"bytes {start}-"):
                start = -1
        else:
            start = 0
        modified = found.get("LastModified")
        facts = Facts(
            etag=str(found.get("ETag", "")),
            modified=format_datetime(modified.astimezone(UTC), usegmt=True) if modified is not None else "",
            total=int(total) if total is not None else None,
            has_ranges=True,
            content_type=str(found.get("ContentType", "")),
        )
        return Answer(facts, start=start, chunks=self._chunks(found["Body"]))

    @staticmethod
    async def _chunks(body: Any) -> AsyncIterator[bytes]:
        try:
            while chunk := await body.read(_BLOCK):
                yield chunk
        except Exception as error:
            if isinstance(error, TimeoutError) or "imeout" in type(error).__name__:
                silence = time_limits().silence
                raise PassingError(
                    message(
                        "the server sent nothing for {silence:g} s (DISSMODEL_LAB_TIMEOUT sets another limit)",
                        silence=silence,
                    )
                ) from error
            raise PassingError(message("the connection was cut")) from error

    def _problem(self, error: BaseException) -> Exception:
        """Say what went wrong, as the server of the bucket or the network tells it."""
        cause = _of_boto(error)
        response = getattr(cause, "response", None)
        if not isinstance(response, dict):
            server = Address(self.address.kind, host=self.options.server, text=self.address.text)
            text = unreachable(server, cause)
            if "SSL" in type(cause).__name__ or "ertificate" in str(cause):
                return SourceError(text)
            return PassingError(text, is_unreachable=True)
        code = str(response.get("Error", {}).get("Code", ""))
        status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) or 0)
        if code == "304" or status == 304:  # noqa: PLR2004 -- not modified
            return _NoContentError(is_unchanged=True)
        if code in ("PreconditionFailed", "InvalidRange", "412", "416"):
            return _NoContentError(is_unchanged=False)
        text = self._words(code, status)
        return PassingError(text) if status in PASSING or code in ("SlowDown", "InternalError") else SourceError(text)

    def _words(self, code: str, status: int) -> str:
        where, who = f"The input '{self.address.text}'", self._who()
        match code:
            case "NoSuchBucket":
                bucket, server = self.address.bucket, self.options.server
                return message(
                    "{where} does not exist: there is no bucket {bucket!r} at {server}. {server_advice}",
                    where=where,
                    bucket=bucket,
                    server=server,
                    server_advice=self._server_advice(),
                )
            case "NoSuchKey" | "NoSuchVersion" | "404" | "NotFound":
                what = "version" if code == "NoSuchVersion" else "object"
                return message(
                    "{where} does not exist: the bucket {bucket!r} of {server} has no such {what}. Check the "
                    "address; a folder's name ends with a slash.",
                    where=where,
                    bucket=self.address.bucket,
                    server=self.options.server,
                    what=what,
                )
            case "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "AuthorizationHeaderMalformed":
                return message(
                    "{where} may not be read: {server} does not accept the keys of {who}. Check them.",
                    where=where,
                    server=self.options.server,
                    who=who,
                )
            case "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired":
                return message(
                    "{where} may not be read: the keys of {who} have expired. Sign on again.", where=where, who=who
                )
            case "RequestTimeTooSkewed":
                return message("{where} may not be read: this machine's clock is wrong. Set it.", where=where)
            case "AccessDenied" | "403" | "Forbidden" | "AllAccessDisabled":
                how = (
                    message("without keys") if self.options.anonymous else message("with the keys of {who}", who=who)
                )
                return message(
                    "{where} may not be read: {server} denies it {how}. Set AWS_ACCESS_KEY_ID and "
                    "AWS_SECRET_ACCESS_KEY (MINIO_ACCESS_KEY and MINIO_SECRET_KEY) or AWS_PROFILE, or ask who "
                    "owns the bucket.",
                    where=where,
                    server=self.options.server,
                    how=how,
                )
        return message(
            "{where} cannot be fetched: {server} answered {code} ({status}). Try again.",
            where=where,
            server=self.options.server,
            code=code or "an error",
            status=status,
        )

    def _who(self) -> str:
        return self.options.origin or "the environment"

    def _server_advice(self) -> str:
        if self.options.endpoint_url:
            return message("Check the bucket's name.")
        return message("Check the bucket's name; AWS_ENDPOINT_URL or MINIO_ENDPOINT name another server.")


@functools.cache
def _file_system() -> Any:
    import s3fs  # type: ignore[import-untyped]  # noqa: PLC0415 -- loads 500 modules, only for buckets

    class OneTry(s3fs.S3FileSystem):  # type: ignore[misc]  # s3fs is untyped
        """Asks once: downloads have their own tries, which go on where they were cut."""

        retries = 1

    return OneTry


class _NoContentError(Exception):
    """The server sends nothing: it is as it was, or it is no longer."""

    def __init__(self, *, is_unchanged: bool) -> None:
        super().__init__("no content")
        self.is_unchanged = is_unchanged


def _of_boto(error: BaseException) -> BaseException:
    """Return the error of botocore behind one that s3fs has translated."""
    seen: BaseException | None = error
    while seen is not None:
        if hasattr(seen, "response") or type(seen).__module__.startswith(("botocore", "aiobotocore", "aiohttp")):
            return seen
        seen = seen.__cause__
    return error
