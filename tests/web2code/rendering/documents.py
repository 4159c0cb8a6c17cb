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
SLIDING = f"<style>{SLIDE}div{{width:40px;height:40px;background:red;animation:k 1s infinite}}</style><div></div>"

PLAIN = "<html><body style='margin:0'><div style='background:#d33;width:100px;height:40px'>Hi</div><a href=x>a</a>"
PICTURE = f"<html><body style='margin:0'><img width=200 src='{data_url(NOISE, 'PNG')}'></body></html>"
FADE_IN = (
    "<style>@keyframes f{from{opacity:0}}div{width:40px;height:40px;background:#f00;animation:f 1s}</style>"
    "<body style='margin:0'><div></div>"
)
CARDS = "".join(f"<h2 style='height:150px;background:#fc{n}'>card {n}</h2>" for n in range(9))
DRIVEN_BY_SCROLLING = {
    "revealed": "<style>@keyframes r{from{opacity:0;translate:0 100px}}body{margin:0}h2{margin:0;animation:r linear "
    f"both;animation-timeline:view();animation-range:entry 0% cover 40%}}</style>{CARDS}",
    "progress": "<style>@keyframes g{from{width:0}to{width:100%}}b{position:fixed;top:0;left:0;height:9px;"
    "background:red;animation:g linear;animation-timeline:scroll()}</style><b></b><p style='height:2500px'>words",
}


def framed(html: str) -> str:
    return f'<iframe srcdoc="{html}"></iframe>'


def shadowed(html: str, mode: str = "open") -> str:
    return f"<div><template shadowrootmode={mode}>{html}</template></div>"


MOVING = {
    "animation": SLIDING,
    "fade": FADE_IN,
    "marquee": "<marquee>hello there</marquee>",
    "caret": "<input autofocus value=abc>",
    "smil": "<svg><rect width=9 height=9><animate attributeName=x to=99 dur=1s repeatCount=indefinite /></rect></svg>",
    "progress": "<progress></progress>",
    "gif": f"<img src='{GIF}'>",
    "media": "<video autoplay controls src='data:video/mp4;base64,AAAA'></video><audio controls></audio>",
    "picture": PICTURE,
    "frame animation": framed(SLIDING),
    "frame fade": framed(FADE_IN),
    "frame marquee": framed("<marquee>hello there</marquee>"),
    "frame progress": framed("<progress></progress>"),
    "frame caret": framed("<input autofocus value=abc>"),
    "frame in a frame": framed(framed("<marquee>hello there</marquee>").replace('"', "&quot;")),
    "shadow animation": shadowed(SLIDING),
    "shadow marquee": shadowed("<marquee>hello there</marquee>"),
    "closed shadow animation": shadowed(SLIDING, "closed"),
    "animation after another": f"<style>{SLIDE}@keyframes s{{to{{--x:1}}}}#o{{animation:s 1ms forwards}}@container "
    "style(--x:1){#i{animation:k 3s infinite;background:red}}</style><div id=o><div id=i>x</div></div>",
    "focused animation": f"<style>{SLIDE}div{{background:red;animation:k 1s infinite}}</style><div autofocus>x</div>",
    **{f"{name} by scrolling": page for name, page in DRIVEN_BY_SCROLLING.items()},
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
