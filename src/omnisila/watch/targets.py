"""Who is told: a webhook, or a broker of MQTT."""

import hashlib
import hmac
import http.client
import json
import ssl
import time
from base64 import b64encode
from urllib.parse import SplitResult, unquote, urlsplit

from omnisila.errors import InputError, needing
from omnisila.watch.address import public
from omnisila.watch.outbox import Target, UndeliveredError

_WAIT_S = 10.0
_AGAIN = frozenset({408, 409, 423, 425, 429})  # of 4xx, what may pass


class Webhook:
    """An HTTP POST of the event as JSON.

    ``X-Omnisila-Signature: t=SECONDS,v1=HEX`` is the HMAC-SHA256 of ``SECONDS.BODY`` under the secret;
    ``Idempotency-Key`` is the same whenever one notice is sent again.
    """

    def __init__(self, url: str, secret: bytes) -> None:
        self.public, self._parts, self._secret = public(url), urlsplit(url), secret

    def send(self, key: str, body: bytes) -> None:
        parts = self._parts
        host, port = parts.hostname or "", parts.port
        secure = parts.scheme == "https"
        connection: http.client.HTTPConnection = (
            http.client.HTTPSConnection(host, port, timeout=_WAIT_S, context=ssl.create_default_context())
            if secure
            else http.client.HTTPConnection(host, port, timeout=_WAIT_S)
        )
        path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        try:
            connection.request("POST", path, body, self._headers(key, body))
            answer = connection.getresponse()
            answer.read(65_536)
        except (OSError, http.client.HTTPException) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
            raise UndeliveredError(reason) from None
        finally:
            connection.close()
        if not 200 <= answer.status < 300:
            final = 300 <= answer.status < 500 and answer.status not in _AGAIN
            raise UndeliveredError(f"answered {answer.status}", final)

    def _headers(self, key: str, body: bytes) -> dict[str, str]:
        at_s = str(int(time.time()))
        signed = hmac.new(self._secret, f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": key,
            "X-Omnisila-Signature": f"t={at_s},v1={signed}",
        }
        if self._parts.username is not None:
            user = f"{unquote(self._parts.username)}:{unquote(self._parts.password or '')}"
            headers["Authorization"] = f"Basic {b64encode(user.encode()).decode()}"
        return headers


class Broker:
    """A message to ``TOPIC/CAMERA`` of ``mqtt(s)://host:port/TOPIC``, at least once.

    Home Assistant finds a sensor of each camera by itself: ``ON`` in ``TOPIC/CAMERA/state`` while a finding is open.

    Raises:
        InputError: paho-mqtt is not installed.
    """

    def __init__(self, url: str) -> None:
        with needing("paho-mqtt", "a notice by MQTT", "watch"):
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        self.public = public(url)
        parts: SplitResult = urlsplit(url)
        self._topic = unquote(parts.path.strip("/")) or "omnisila"
        self._host, self._port = parts.hostname or "", parts.port or (8883 if parts.scheme == "mqtts" else 1883)
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._announced: set[str] = set()
        if parts.username is not None:
            self._client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
        if parts.scheme == "mqtts":
            self._client.tls_set_context(ssl.create_default_context())

    def send(self, key: str, body: bytes) -> None:
        event = json.loads(body)
        camera, topic = event["camera"], f"{self._topic}/{event['camera']}"
        try:
            if not self._client.is_connected():
                self._client.connect(self._host, self._port, keepalive=60)
                self._client.loop_start()
            if camera not in self._announced:
                name = f"omnisila_{camera}".replace(".", "_")
                found = {"name": f"omnisila {camera}", "unique_id": name, "state_topic": f"{topic}/state",
                         "json_attributes_topic": topic, "device_class": "safety"}  # fmt: skip
                self._publish(f"homeassistant/binary_sensor/{name}/config", json.dumps(found).encode(), retain=True)
                self._announced.add(camera)
            self._publish(topic, json.dumps({**event, "key": key}, ensure_ascii=False).encode())
            self._publish(f"{topic}/state", b"ON" if event["event"] == "open" else b"OFF", retain=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise UndeliveredError(getattr(error, "strerror", None) or type(error).__name__) from None

    def _publish(self, topic: str, body: bytes, retain: bool = False) -> None:
        sent = self._client.publish(topic, body, qos=1, retain=retain)
        sent.wait_for_publish(_WAIT_S)
        if not sent.is_published():
            raise UndeliveredError("the broker did not confirm")


def target(url: str, secret: bytes) -> Target:
    """Who an address stands for.

    Raises:
        InputError: neither HTTP nor MQTT, or what it needs is not installed.
    """
    parts = urlsplit(url)
    if parts.hostname and parts.scheme in ("http", "https"):
        return Webhook(url, secret)
    if parts.hostname and parts.scheme in ("mqtt", "mqtts"):
        return Broker(url)
    raise InputError(f"{public(url)}: notices go to http(s):// or mqtt(s):// addresses. Give one of these.")
