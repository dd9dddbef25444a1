"""Words that name a place or a brand, by short lists: what they hold is sure, what they lack is not found."""

from __future__ import annotations

import re

_PLACE_LIST = """
中国 美国 英国 法国 德国 日本 韩国 朝鲜 蒙古 俄罗斯 意大利 西班牙 葡萄牙 荷兰 比利时 瑞士 瑞典 挪威 丹麦
芬兰 冰岛 希腊 土耳其 奥地利 波兰 捷克 匈牙利 爱尔兰 苏格兰 英格兰 埃及 摩洛哥 南非 肯尼亚 印度 泰国 越南
老挝 缅甸 柬埔寨 新加坡 马来西亚 印尼 印度尼西亚 菲律宾 尼泊尔 斯里兰卡 马尔代夫 巴基斯坦 伊朗 伊拉克 以色列
沙特 迪拜 加拿大 墨西哥 古巴 巴西 阿根廷 智利 秘鲁 澳大利亚 澳洲 新西兰 夏威夷 非洲 欧洲 亚洲 美洲 北美 南美
东南亚 南极 北京 天津 上海 重庆 河北 山西 辽宁 吉林 黑龙江 江苏 浙江 安徽 福建 江西 山东 河南 湖北 湖南 广东
海南 四川 贵州 云南 陕西 甘肃 青海 台湾 内蒙古 广西 西藏 宁夏 新疆 香港 澳门 东北 江南 华北 华南 石家庄 太原
沈阳 大连 长春 哈尔滨 南京 苏州 无锡 扬州 杭州 宁波 温州 义乌 合肥 福州 厦门 泉州 南昌 景德镇 济南 青岛 烟台
郑州 洛阳 开封 武汉 长沙 张家界 广州 深圳 珠海 佛山 东莞 汕头 潮汕 桂林 南宁 海口 三亚 成都 贵阳 昆明 大理
丽江 拉萨 西安 延安 兰州 敦煌 西宁 银川 乌鲁木齐 吐鲁番 台北 高雄 呼和浩特 内蒙 长城 故宫 天安门 颐和园
圆明园 天坛 西湖 黄山 泰山 华山 峨眉山 九寨沟 长江 黄河 珠江 外滩 黄浦江 秦淮河 洱海 青海湖 喜马拉雅
珠穆朗玛 珠穆朗玛峰 兵马俑 布达拉宫 鼓浪屿 东方明珠 少林寺 王府井 三峡 天山 长白山 纽约 华盛顿 洛杉矶 旧金山
芝加哥 好莱坞 伦敦 巴黎 柏林 慕尼黑 罗马 威尼斯 米兰 佛罗伦萨 巴塞罗那 马德里 阿姆斯特丹 布拉格 维也纳
莫斯科 圣彼得堡 雅典 伊斯坦布尔 东京 大阪 京都 北海道 富士山 首尔 曼谷 清迈 普吉岛 巴厘岛 悉尼 墨尔本 开罗
埃菲尔铁塔 卢浮宫 大本钟 自由女神 金门大桥 阿尔卑斯 尼亚加拉 撒哈拉
"""
_BRAND_LIST = """
耐克 阿迪达斯 阿迪 彪马 匡威 安踏 李宁 特步 鸿星尔克 回力 斯凯奇 乔丹 优衣库 香奈儿 古驰 古琦 迪奥 爱马仕
路易威登 普拉达 巴宝莉 范思哲 阿玛尼 蔻驰 劳力士 欧米茄 卡地亚 蒂芙尼 兰蔻 雅诗兰黛 欧莱雅 资生堂 完美日记
华为 三星 索尼 佳能 尼康 戴尔 惠普 飞利浦 西门子 海尔 格力 戴森 诺基亚 摩托罗拉 英特尔 任天堂 奥迪 丰田 本田
特斯拉 比亚迪 保时捷 法拉利 兰博基尼 宾利 劳斯莱斯 雪佛兰 凯迪拉克 雷克萨斯 沃尔沃 哈雷 可口可乐 百事可乐
百事 雪碧 麦当劳 肯德基 星巴克 必胜客 汉堡王 茅台 五粮液 青岛啤酒 伊利 蒙牛 农夫山泉 康师傅 迪士尼 乐高 芭比
宜家 沃尔玛 家乐福 淘宝 天猫 京东 拼多多 阿里巴巴 腾讯 微信 谷歌 微软 抖音
"""
_PLACES, _BRANDS = frozenset(_PLACE_LIST.split()), frozenset(_BRAND_LIST.split())
_PLACE_ENDINGS = "省市县区"
_LATIN_WORD = re.compile("[A-Za-z][A-Za-z&'-]+")


def names_place(word: str) -> bool:
    """Whether a word is the name of a country, province, city or famous sight: 北京, 北京市, 巴黎."""
    return word in _PLACES or (word[-1:] in _PLACE_ENDINGS and word[:-1] in _PLACES)


def names_brand(word: str) -> bool:
    """Whether a word is a known brand, or written in two or more Latin letters: 耐克, iPhone."""
    return word in _BRANDS or _LATIN_WORD.fullmatch(word) is not None
