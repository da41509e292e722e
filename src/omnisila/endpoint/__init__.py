"""Questions with pictures to any OpenAI-compatible endpoint: a service, or a server on one's own machine.

The key never stands in a setting or a file: only the name of the environment variable that holds it does.
"""

import base64
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from omnisila.endpoint.settings import EndpointConfig, Estimate, RequestConfig
from omnisila.endpoint.weighing import MOST_LISTED, TRUSTED, Weighed, letter_weights
from omnisila.errors import EndpointError, OmnisilaError, needing

if TYPE_CHECKING:
    from openai import OpenAIError

__all__ = ["Endpoint", "EndpointConfig", "Estimate", "Reply", "RequestConfig", "Weighed"]


class Reply(NamedTuple):
    """An answer as it came, which model says it gave it, and what it cost; None: the endpoint does not count."""

    text: str
    model: str
    prompt_tokens: int | None
    completion_tokens: int | None


class Endpoint:
    """A client that several threads may share; to be closed after use, best as a context manager.

    What the user has to put right ends in an ``EndpointError``, as every further question would fail too. A single
    question that stays without a usable answer ends in a plain ``OmnisilaError``.

    Raises:
        InputError: the package, the key or a usable address is missing.
    """

    def __init__(self, config: EndpointConfig) -> None:
        with needing("openai", "asking an endpoint", "annotate"):
            import openai
        config.check()
        self.config = config
        self._pace = _Pace(config.requests_per_minute)
        self._client = openai.OpenAI(
            api_key=config.key,
            base_url=config.base_url,
            max_retries=config.retries,
            timeout=config.timeout_s,
            http_client=openai.DefaultHttpxClient(event_hooks={"request": [lambda _: self._pace.wait()]}),
        )

    def ask(self, prompt: str, images: Sequence[bytes] = (), video: bytes | None = None) -> Reply:
        """One question about some pictures, in a conversation of its own.

        Args:
            video: an mp4 file, for servers that take ``video_url``.

        Raises:
            EndpointError: the address, the key or the model is wrong; the message says which.
            OmnisilaError: no usable answer after all retries: refused, too slow, empty or cut off.
        """
        ways = {"max_tokens": self.config.max_tokens, "temperature": self.config.temperature}
        return self._reply(self._complete(prompt, images, video, **ways))

    def weigh(
        self, prompt: str, letters: Sequence[str], images: Sequence[bytes] = (), video: bytes | None = None
    ) -> Weighed:
        """How likely the answer to a question is to begin with each of the letters.

        Raises:
            EndpointError: as ``ask``.
            OmnisilaError: as ``ask``.
        """
        # SGLang states them as its temperature changes them, which by default is the checkpoint's own
        asked = {"max_tokens": 1, "temperature": 1.0, "logprobs": True, "top_logprobs": MOST_LISTED}
        return letter_weights(self._complete(prompt, images, video, **asked).choices[0], letters)

    def letters_fault(self) -> str:
        """Why letters cannot be weighed here, found out by two questions whose answers are known; "" where they can.

        Raises:
            EndpointError: as ``ask``.
            OmnisilaError: as ``ask``.
        """
        import openai

        for letter in "AB":
            try:
                weights, fault = self.weigh(f"Answer with the capital letter {letter} and nothing else.", "AB")
            except OmnisilaError as error:
                if isinstance(error.__cause__, openai.APIStatusError) and error.__cause__.status_code in (400, 422):
                    return str(error)
                raise
            if fault:
                return fault
            if weights[letter] < TRUSTED:
                return (
                    f"asked for the letter {letter}, it says that {letter} has probability {weights[letter]:.2g}; "
                    "it thinks aloud first, or states numbers that are not its own"
                )
        return ""

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _complete(self, prompt: str, images: Sequence[bytes], video: bytes | None, **settings: Any) -> Any:
        import openai
        from openai.types.chat import ChatCompletion

        try:
            completion: Any = self._client.chat.completions.create(
                model=self.config.model,
                messages=[{"role": "user", "content": _content(prompt, images, video)}],
                **{name: value for name, value in settings.items() if value is not None},
            )
        except openai.OpenAIError as error:
            raise self._explain(error) from error
        if not isinstance(completion, ChatCompletion) or not completion.choices:
            raise EndpointError(
                f"{self.config.server}: answers, but not as an OpenAI-compatible endpoint does. "
                "Check the base URL; it usually ends in /v1."
            )
        return completion

    def _reply(self, completion: Any) -> Reply:
        choice = completion.choices[0]
        text = (choice.message.content or "").strip()
        if choice.finish_reason == "length":
            raise OmnisilaError(
                f"{self._who}: the answer was cut off at its limit of tokens (max_tokens {self.config.max_tokens}, "
                f"{len(text)} characters came). Raise max_tokens."
            )
        if not text:
            raise OmnisilaError(
                f"{self._who}: the answer is empty (finish reason {choice.finish_reason!r}). "
                "Ask again, or choose a model that takes pictures."
            )
        used = completion.usage
        return Reply(
            text,
            completion.model or self.config.model,
            used.prompt_tokens if used else None,
            used.completion_tokens if used else None,
        )

    def _explain(self, error: "OpenAIError") -> OmnisilaError:
        """What a failure of the library means for the user."""
        import openai

        tries = f"after {self.config.retries + 1} tries"
        if isinstance(error, openai.APITimeoutError):
            return OmnisilaError(
                f"{self._who}: no answer within {self.config.timeout_s:g} s {tries}. Raise timeout_s or try later."
            )
        if isinstance(error, openai.APIConnectionError):
            reason = error.__cause__ or error
            return EndpointError(
                f"{self._who}: cannot be reached {tries} ({reason}). Check the base URL and that the server runs."
            )
        if not isinstance(error, openai.APIStatusError):
            return OmnisilaError(f"{self._who}: {error}. Ask again; if it stays so, check the base URL.")
        message = error.message.removeprefix(f"Error code: {error.status_code}").removeprefix(" - ")
        message = message or error.response.text  # of a server in front of it, in no form
        if self.config.key_variable:
            message = message.replace(self.config.key, "[key]")
        said = f"status {error.status_code}: {_brief(message)}"
        match error.status_code:
            case 401 | 403:
                source = self.config.key_variable or "none sent"
                return EndpointError(
                    f"{self._who}: the key ({source}) was refused, {said}. Give a key that is valid there."
                )
            case 404:
                return EndpointError(f"{self._who}: no such address or model, {said}. {self._offer()}")
            case 429:
                return OmnisilaError(
                    f"{self._who}: still too many requests {tries}, {said}. "
                    "Lower requests_per_minute, check the quota, and run again."
                )
            case status if status >= 500:
                return OmnisilaError(f"{self._who}: the server failed {tries}, {said}. Run again later.")
        return OmnisilaError(f"{self._who}: the request was refused, {said}. Change what the message names.")

    def _offer(self) -> str:
        """What to ask in place of what was not found."""
        import openai

        try:
            known = [model.id for model in self._client.models.list()]
        except (openai.OpenAIError, AttributeError, TypeError):  # a page, or JSON of another kind
            known = []
        if not known:
            return "Check the base URL, which usually ends in /v1, and the model's name."
        return f"It has: {_brief(', '.join(known))}."

    @property
    def _who(self) -> str:
        return f"{self.config.model} at {self.config.server}"


class _Pace:
    """Lets requests go at even distances, whichever thread sends them."""

    def __init__(self, requests_per_minute: float | None) -> None:
        self._step_s = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._next_s = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        with self._lock:
            now_s = time.monotonic()
            start_s = max(now_s, self._next_s)
            self._next_s = start_s + self._step_s
        time.sleep(start_s - now_s)


def _content(prompt: str, images: Sequence[bytes], video: bytes | None) -> Any:
    def part(kind: str, media: str, data: bytes) -> Any:
        return {"type": kind, kind: {"url": f"data:{media};base64,{base64.b64encode(data).decode('ascii')}"}}

    pictures = [part("image_url", "image/jpeg", image) for image in images]
    clips = [] if video is None else [part("video_url", "video/mp4", video)]
    return [{"type": "text", "text": prompt}, *pictures, *clips]


def _brief(message: str, limit: int = 200) -> str:
    plain = " ".join(message.split())
    return plain if len(plain) <= limit else f"{plain[:limit]}..."
