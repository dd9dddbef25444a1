"""Characters that look alike: slips of handwriting, of stroke input and of reading by machine.

Left out are exchanges that would turn a caption into another good one, such as 大 and 犬, 左 and 右.
"""

from __future__ import annotations

_GROUPS = """
己已巳 未末 士土 日曰 人入 大太 天夭 王玉 午牛 千干于 刀力 又叉 木本术 白自 目且 田由甲申 鸟乌 贝见 兔免 侯候
折拆 拔拨 晴睛 请清 跑泡 抱饱 狼狠 猫描 蓝篮 辩辨辫 戴载 栽裁 墓幕慕 博搏 底低 楼搂 坡波 站沾 拍怕柏 衫杉
桌卓 孩该 海悔 滩摊 湖糊 船般 桥侨 雪雷 手毛 乒乓 师帅 老考 爪瓜 竟竞 今令 句旬 史吏 风凤 历厉 治冶 炼练
洒酒 渴喝 偷愉 摘滴 徒徙 扶抉 抡抢 微徽 卷券 毫豪 崇祟 茶荼 斤斥 丹舟 勺匀 住往 间问 厂广 休体 持待 材村
杯怀坏 杨扬场 跳挑桃 推堆 拉垃 打订 小少 水永 车东 开井 正止 街衔 椅倚 骑琦 踢惕 衣农 园囤 网冈 绿禄 灰恢
裤库 沙纱 玩顽 游淤 吹炊 冰冻 瞪蹬
"""

LOOKALIKES: tuple[str, ...] = tuple(_GROUPS.split())
