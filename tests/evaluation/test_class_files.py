"""The class names that ship in eval/labels: how many, in which order, and that the model tells them apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnclip.evaluation.classes import ClassNames, name_groups, read_class_names
from cnclip.evaluation.elevater import ELEVATER, elevater_set
from cnclip.text.wordpiece import encode_ids

LABELS = Path(__file__).parents[2] / "eval" / "labels"
FILES = {
    "caltech-101": "caltech101_zh",
    "cifar-10": "cifar10_zh",
    "cifar-100": "cifar100_zh",
    "country211": "country211_zh",
    "dtd": "dtd_zh",
    "eurosat_clip": "eurosat_zh",
    "fer-2013": "fer2013_zh",
    "fgvc-aircraft-2013b-variants102": "fgvc_aircraft_zh",
    "food-101": "food101_zh",
    "gtsrb": "gtsrb_zh",
    "hateful-memes": "hateful_memes_zh",
    "imagenet-1k": "imagenet1k_zh",
    "kitti-distance": "kitti_distance_zh",
    "mnist": "mnist_zh",
    "oxford-flower-102": "oxford_flowers_zh",
    "oxford-iiit-pets": "oxford_pets_zh",
    "patch-camelyon": "patch_camelyon_zh",
    "rendered-sst2": "rendered_sst2_zh",
    "resisc45_clip": "resisc45_zh",
    "stanford-cars": "stanford_cars_zh",
    "voc-2007-classification": "voc2007_zh",
}
# Number of the class | its id | its Chinese name | what the id means, for the reader.
KNOWN = {
    "caltech-101": """
        0 | accordion | 手风琴
        4 | BACKGROUND_Google | 背景
        6 | bass | 鲈鱼
        16 | car_side | 汽车的侧面
        22 | cougar_face | 美洲狮的脸
        29 | dollar_bill | 美元纸币
        34 | emu | 澳洲鸵鸟
        37 | Faces | 偏离中心的人脸
        38 | Faces_easy | 居中的人脸
        57 | Leopards | 豹子
        66 | Motorbikes | 摩托车
        84 | snoopy | 史努比
        101 | yin_yang | 太极阴阳图
    """,
    "country211": """
        0 | AD | 安道尔 | Andorra
        1 | AE | 阿联酋 | United Arab Emirates
        8 | AQ | 南极洲 | Antarctica
        34 | CD | 刚果民主共和国 | DR Congo
        41 | CN | 中国 | China
        51 | DM | 多米尼克 | Dominica
        52 | DO | 多米尼加 | Dominican Republic
        102 | KP | 朝鲜 | North Korea
        103 | KR | 韩国 | South Korea
        121 | MF | 法属圣马丁 | Saint-Martin
        180 | SX | 荷属圣马丁 | Sint Maarten
        206 | XK | 科索沃 | Kosovo
        210 | ZW | 津巴布韦 | Zimbabwe
    """,
    "fgvc-aircraft-2013b-variants102": """
        0 | 707-320 | 波音 707-320
        21 | A300B4 | 空客 A300B4
        34 | An-12 | 安-12 运输机
        35 | ATR-42 | ATR-42 支线客机
        44 | Cessna 172 | 塞斯纳 172
        49 | CRJ-200 | 庞巴迪 CRJ-200
        63 | DR-400 | 罗宾 DR-400
        71 | Eurofighter Typhoon | 欧洲台风战斗机
        72 | F-16A-B | F-16A/B 战斗机
        83 | Il-76 | 伊尔-76 运输机
        90 | Model B200 | 比奇空中国王 B200
        95 | SR-20 | 西锐 SR-20
        99 | Yak-42 | 雅克-42 客机
    """,
    "food-101": """
        0 | apple_pie | 苹果派
        7 | bibimbap | 韩式拌饭
        16 | cheesecake | 芝士蛋糕
        17 | cheese_plate | 奶酪拼盘
        32 | dumplings | 饺子
        33 | edamame | 毛豆
        52 | gyoza | 日式煎饺
        58 | ice_cream | 冰淇淋
        67 | omelette | 煎蛋卷
        74 | peking_duck | 北京烤鸭
        81 | ramen | 日式拉面
        95 | sushi | 寿司
        100 | waffles | 华夫饼
    """,
    "imagenet-1k": """
        0 | n01440764 | 丁桂鱼 | tench
        1 | n01443537 | 金鱼 | goldfish
        134 | n02012849 | 鹤 | crane, the bird
        207 | n02099601 | 金毛寻回犬 | golden retriever
        281 | n02123045 | 虎斑猫 | tabby cat
        388 | n02510455 | 大熊猫 | giant panda
        517 | n03126707 | 起重机 | crane, the machine
        638 | n03710637 | 紧身连体衣 | maillot, tights
        639 | n03710721 | 连体泳衣 | maillot, bathing suit
        657 | n03773504 | 导弹 | missile
        705 | n03895866 | 铁路客车厢 | passenger car
        744 | n04008634 | 炮弹 | projectile
        829 | n04335435 | 有轨电车 | streetcar
        836 | n04355933 | 太阳镜 | sunglass
        837 | n04356056 | 墨镜 | sunglasses
        920 | n06874185 | 红绿灯 | traffic light
        963 | n07873807 | 披萨 | pizza
        999 | n15075141 | 卫生纸 | toilet paper
    """,
    "kitti-distance": """
        0 | 0 | 左边或右边紧挨着一辆车 | on my left or right side
        1 | 1 | 附近有一辆车 | nearby
        2 | 2 | 远处有一辆车 | in the distance
        3 | 3 | 没有车 | no car
    """,
    "oxford-flower-102": """
        0 | pink primrose | 粉花月见草
        1 | hard-leaved pocket orchid | 硬叶兜兰
        6 | moon orchid | 蝴蝶兰
        10 | snapdragon | 金鱼草
        28 | artichoke | 洋蓟
        30 | carnation | 康乃馨
        44 | bolero deep blue | 深蓝色洋桔梗
        53 | sunflower | 向日葵
        73 | rose | 玫瑰
        77 | lotus | 荷花
        88 | watercress | 豆瓣菜
        94 | bougainvillea | 三角梅
        101 | blackberry lily | 射干花
    """,
    "stanford-cars": """
        0 | Acura Integra Type R 2001 | 讴歌 Integra Type R 2001 款
        6 | AM General Hummer SUV 2000 | AM 通用悍马 SUV 2000 款
        18 | Audi S5 Convertible 2012 | 奥迪 S5 敞篷 2012 款
        21 | Audi TTS Coupe 2012 | 奥迪 TTS 双门轿跑 2012 款
        31 | BMW 1 Series Convertible 2012 | 宝马 1 系敞篷 2012 款
        99 | Ferrari 458 Italia Coupe 2012 | 法拉利 458 Italia 双门轿跑 2012 款
        115 | Ford Mustang Convertible 2007 | 福特野马敞篷 2007 款
        148 | Jeep Wrangler SUV 2012 | 吉普牧马人 SUV 2012 款
        172 | Porsche Panamera Sedan 2012 | 保时捷帕拉梅拉轿车 2012 款
        173 | Ram C-V Cargo Van Minivan 2012 | 公羊 C/V 厢式货车 2012 款
        178 | smart fortwo Convertible 2012 | 奔驰 smart fortwo 敞篷 2012 款
        185 | Tesla Model S Sedan 2012 | 特斯拉 Model S 轿车 2012 款
        195 | Volvo XC90 SUV 2007 | 沃尔沃 XC90 SUV 2007 款
    """,
}


def shipped(dataset: str) -> ClassNames:
    return read_class_names(LABELS / f"{FILES[dataset]}.txt")


def test_every_known_data_set_has_class_names() -> None:
    assert set(FILES) == {*ELEVATER, "imagenet-1k"}
    others = {"emoji_groups_zh", "emoji_subgroups_zh"}
    assert {path.stem for path in LABELS.glob("*.txt")} == {*FILES.values()} | others


@pytest.mark.parametrize("dataset", FILES)
def test_class_names_have_their_sets_number_of_classes_and_ids(dataset: str) -> None:
    found = shipped(dataset)
    assert found.ids is not None
    assert len(found.names) == len(set(found.ids)) == elevater_set(dataset).classes


@pytest.mark.parametrize("dataset", FILES)
def test_class_names_stay_apart_and_short_after_tokenising(dataset: str) -> None:
    names = shipped(dataset).names
    assert len(set(name_groups(names).tolist())) == len(names)
    assert max(len(ids) for ids in encode_ids(names)) <= 30  # room for a template within 52 tokens


@pytest.mark.parametrize("dataset", KNOWN)
def test_known_classes_stand_at_their_place(dataset: str) -> None:
    found = shipped(dataset)
    assert found.ids is not None
    rows = [[cell.strip() for cell in line.split("|")] for line in KNOWN[dataset].strip().splitlines()]
    assert {0, len(found.names) - 1} <= {int(row[0]) for row in rows}
    given = [(int(number), identity, name) for number, identity, name, *_ in rows]
    assert [(number, found.ids[number], found.names[number]) for number, *_ in given] == given


@pytest.mark.parametrize("dataset", ["country211", "imagenet-1k"])
def test_sets_whose_folders_are_codes_stand_in_the_order_of_the_codes(dataset: str) -> None:
    ids = shipped(dataset).ids
    assert ids is not None and ids == sorted(ids)
