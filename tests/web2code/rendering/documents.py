"""Documents that move, load late, or try to change how the next document is drawn."""

import base64
import io

import numpy as np
from PIL import Image


def data_url(image: Image.Image, kind: str, **options: object) -> str:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (300, 450, 3), dtype=np.uint8))
NOISE.paste((0, 255, 0), (0, 0, 450, 150))
FRAMES = [Image.new("RGB", (40, 40), (number * 30, 0, 255 - number * 30)) for number in range(8)]
GIF = data_url(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:], duration=30, loop=0)
SLIDE = "@keyframes k{from{margin-left:0}to{margin-left:150px}}"

PLAIN = "<html><body style='margin:0'><div style='background:#d33;width:100px;height:40px'>Hi</div><a href=x>a</a>"
PICTURE = f"<html><body style='margin:0'><img width=200 src='{data_url(NOISE, 'PNG')}'></body></html>"
FADE_IN = (
    "<style>@keyframes f{from{opacity:0}}div{width:40px;height:40px;background:#f00;animation:f 1s}</style>"
    "<body style='margin:0'><div></div>"
)
MOVING = {
    "animation": f"<style>{SLIDE}div{{width:40px;height:40px;background:red;animation:k 1s infinite}}</style><div>",
    "fade": FADE_IN,
    "marquee": "<marquee>hello there</marquee>",
    "caret": "<input autofocus value=abc>",
    "smil": "<svg><rect width=9 height=9><animate attributeName=x to=99 dur=1s repeatCount=indefinite /></rect></svg>",
    "progress": "<progress></progress>",
    "gif": f"<img src='{GIF}'>",
    "media": "<video autoplay controls src='data:video/mp4;base64,AAAA'></video><audio controls></audio>",
    "picture": PICTURE,
    "background": f"<body style=\"background:url('{data_url(NOISE, 'PNG')}')\">",
}
LEAVING_TRACES = {
    "policy": "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'\"><body>x",
    "colour scheme": "<meta name='color-scheme' content='dark'>x",
    "disguised colour scheme": "<META\nname='color&#45;scheme' content='dark'>x",
    "link colour": "<body title='>' LINK =lime>x",
    "base": "<base href='http://example.com/' target=_blank>x",
    "refresh": "<meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'>x",
    "later refresh": "<meta http-equiv=refresh content='1;url=http://127.0.0.1:9/'>x",
    "mode": "<!doctype html><meta charset=utf-8><html lang=ar dir=rtl style='zoom:2'><p style='height:3000px'>x",
}
