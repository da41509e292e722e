"""Questions about a video as OpenAI's clients ask them: a part ``video_url`` and a text."""

import io
import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, HTTPException
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, Field

from omnisila.errors import InputError
from omnisila.serve.analyses import MODELS, QueueFullError
from omnisila.serve.chatting import video_in
from omnisila.serve.routes.analyses import keep, keep_fetched
from omnisila.serve.services import Reviewer, Room
from omnisila.serve.settings import ServeSettings

router = APIRouter(prefix="/v1/chat", tags=["chat"])


class VideoAddress(BaseModel):
    url: str


class TextPart(BaseModel):
    type: Literal["text"]
    text: str


class VideoPart(BaseModel):
    type: Literal["video_url"]
    video_url: VideoAddress


Part = Annotated[TextPart | VideoPart, Field(discriminator="type")]


class Message(BaseModel):
    """One turn; fields that OpenAI's interface has beside these are passed over."""

    role: str
    content: str | list[Part]


class Conversation(BaseModel):
    """A question about a video; ``stream`` sends the answer as server-sent events."""

    model: str
    messages: list[Message] = Field(min_length=1)
    stream: bool = False


@router.post("/completions", response_model=None)
def complete(room: Room, _user: Reviewer, asked: Conversation) -> Response:
    """Answer the last user message about the last video that was sent."""
    if asked.model not in MODELS:
        raise HTTPException(404, f"model {asked.model!r} does not exist. Choose from: {', '.join(MODELS)}.")
    question, address = _question(asked.messages)
    try:
        answer = room.questions.answer(_video(address, room.settings), asked.model, question)
    except QueueFullError:
        raise HTTPException(429, "many questions are waiting; try again later.", {"Retry-After": "30"}) from None
    about = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": asked.model}
    if asked.stream:
        return StreamingResponse(_pieces(about, answer), media_type="text/event-stream")
    choice = {"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}
    return JSONResponse({**about, "object": "chat.completion", "choices": [choice]})


def _video(address: str, settings: ServeSettings) -> Path:
    if address.startswith("data:"):
        return keep(io.BytesIO(video_in(address)).read, "video", settings.uploads)
    return keep_fetched(address, settings)


def _question(messages: list[Message]) -> tuple[str, str]:
    """The last user's text, and the address of the last video."""
    users = [message.content for message in messages if message.role == "user"]
    if not users:
        raise InputError("messages: none of a user. Ask a question about a video.")
    parts = [part for content in users if not isinstance(content, str) for part in content]
    videos = [part.video_url.url for part in parts if isinstance(part, VideoPart)]
    last = users[-1]
    texts = [last] if isinstance(last, str) else [part.text for part in last if isinstance(part, TextPart)]
    if not videos or not "".join(texts).strip():
        raise InputError("messages: give a video (a part of type video_url) and a question (a text).")
    return " ".join(texts), videos[-1]


def _pieces(about: dict[str, Any], answer: str) -> Iterator[str]:
    """The answer word by word, as OpenAI's clients read it."""

    def piece(delta: dict[str, str], reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return f"data: {json.dumps({**about, 'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n"

    yield piece({"role": "assistant", "content": ""})
    for number, word in enumerate(answer.split(" ")):
        yield piece({"content": f" {word}" if number else word})
    yield piece({}, "stop")
    yield "data: [DONE]\n\n"
