"""The text around a request: what readers of PEM skip, repair or read differently."""

import base64
from typing import Final

from tests.corpus.entry import permitted, refused
from tests.function.builders import SUBJECT, case, make_request_der, pem

_DER: Final = make_request_der()
_TEXT: Final = pem(_DER)
_BODY: Final = base64.b64encode(_DER)
_BEGIN: Final = b"-----BEGIN CERTIFICATE REQUEST-----\n"
_END: Final = b"-----END CERTIFICATE REQUEST-----\n"
_FIRST_LINE: Final = _TEXT.splitlines()[1]
_OTHER: Final = b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"


def _lines(width: int, end: bytes = b"\n") -> bytes:
    return _BEGIN + b"".join(_BODY[start : start + width] + end for start in range(0, len(_BODY), width)) + _END


def _with_url_alphabet() -> bytes:
    assert b"/" in _BODY or b"+" in _BODY, "the request has no character that the two alphabets write differently"
    head, body, tail = _TEXT.partition(_BODY[:64])
    return head + (body + tail.partition(b"-----END")[0]).translate(bytes.maketrans(b"+/", b"-_")) + _END


def _without_padding() -> bytes:
    end = _BODY.rstrip(b"=")
    assert end != _BODY, "the request needs no padding"
    return _TEXT.replace(_BODY[-8:], end[-(8 - len(_BODY) + len(end)) :])


ROWS: Final = (
    *refused(
        "Go encoding/pem and pyca/cryptography skip leading blocks, and take headers, junk and a second block",
        case("another block before the request", "request.pem", request=_OTHER + _TEXT),
        case("another block after the request", "request.pem", request=_TEXT + _OTHER),
        case("a header without a value", "request.pem", request=_TEXT.replace(_BEGIN, _BEGIN + b"X:\n\n")),
        case("an empty line before base64", "request.pem", request=_TEXT.replace(_BEGIN, _BEGIN + b"\n")),
        case("an empty line within base64", "request.pem", request=_TEXT.replace(_FIRST_LINE, _FIRST_LINE + b"\n")),
        case("an unfinished block before the request", "request.pem", request=b"-----BEGIN X509 CRL-----\n" + _TEXT),
        case("blanks after a line", "request.pem", request=_TEXT.replace(_FIRST_LINE, _FIRST_LINE + b"  ")),
        case("blanks before a line", "request.pem", request=_TEXT.replace(_FIRST_LINE, b"  " + _FIRST_LINE)),
        case(
            "a tab after the begin line",
            "request.pem",
            request=_TEXT.replace(b"REQUEST-----\n", b"REQUEST-----\t\n", 1),
        ),
        case("a blank before the block", "request.pem", request=b" " + _TEXT),
        case("line ends of CR alone", "request.pem", request=_TEXT.replace(b"\n", b"\r")),
        case("a byte order mark", "request.pem", request=b"\xef\xbb\xbf" + _TEXT),
        case("text in UTF-16", "request.pem", request=_TEXT.decode().encode("utf-16-le")),
        case("NUL after the block", "request.pem", request=_TEXT + b"\x00"),
        case("NUL within base64", "request.pem", request=_TEXT.replace(_FIRST_LINE, _FIRST_LINE[:-1] + b"\x00")),
        case("a form feed between lines", "request.pem", request=_TEXT.replace(_FIRST_LINE, _FIRST_LINE + b"\n\x0c")),
    ),
    *refused(
        "RFC 7468 section 3: what a lenient decoder of base64 or PEM repairs",
        case("the alphabet of URLs", "request.pem", request=_with_url_alphabet()),
        case("base64 without its padding", "request.pem", request=_without_padding()),
        case("base64 with too much padding", "request.pem", request=_TEXT.replace(b"\n-----END", b"=\n-----END")),
        case("a character that base64 does not have", "request.pem", request=_TEXT.replace(b"\nMI", b"\nM*I", 1)),
        case("base64 in one line", "request.pem", request=_lines(len(_BODY))),
        case("lines of 77 characters", "request.pem", request=_lines(77)),
        case("an empty block", "request.pem", request=_BEGIN + _END),
        case("the end line alone", "request.pem", request=_END),
        case("the end line before the begin line", "request.pem", request=_END + _BEGIN),
        case("the begin line twice", "request.pem", request=_BEGIN + _TEXT),
        case(
            "another label in the end line",
            "request.pem",
            request=_TEXT.replace(b"END CERTIFICATE", b"END NEW CERTIFICATE"),
        ),
        case("a label in lower case", "request.pem", request=_TEXT.lower().replace(_BODY.lower(), _BODY)),
        case(
            "a label with two blanks",
            "request.pem",
            request=_TEXT.replace(b"CERTIFICATE REQUEST", b"CERTIFICATE  REQUEST"),
        ),
        case("four dashes", "request.pem", request=_TEXT.replace(b"-----", b"----")),
        case("six dashes", "request.pem", request=_TEXT.replace(b"-----", b"------")),
        case("DER without PEM", "request.pem", request=_DER),
        case("base64 without PEM", "request.pem", request=_BODY),
        case("the text in base64 once more", "request.pem", request=base64.b64encode(_TEXT)),
    ),
    *refused(
        "cert-manager internal/pem/decode_test.go: TestPathologicalInput",
        case("hundreds of begin lines", "request.pem", request=_BEGIN * 450),
        case("dashes alone", "request.pem", request=b"-" * 4096),
        case("lines of one character", "request.pem", request=_BEGIN + b"A\n" * 2048 + b"!" + _END),
    ),
    *refused(
        "sigstore/fulcio pkg/server/grpc_server_test.go: oversized body; cert-manager GHSA-r4pg-vg54-wxx4",
        case(
            "a sound request of more than 16 KiB",
            "request.size",
            request={"subject": (*SUBJECT, ("2.5.4.13", "x" * 12_000))},
        ),
    ),
    *permitted(
        "RFC 7468 section 3: what a writer of PEM may do",
        case("lines of 76 characters", request=_lines(76)),
        case("short lines", request=_lines(16)),
        case("lines that end in CR LF", request=_lines(64, b"\r\n").replace(b"-----\n", b"-----\r\n")),
        case("line ends of both kinds", request=_lines(64, b"\r\n")),
        case("no line end after the block", request=_TEXT.rstrip(b"\n")),
    ),
)
