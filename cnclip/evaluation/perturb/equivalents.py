"""Names of the same thing that every reader of standard Chinese knows: the right picture stays right.

Every word of a line may stand for every other in the caption of a picture. Left out are words with a second
everyday meaning (车, 球, 包), pairs that differ in kind (裙子, 连衣裙) and words of one region only (苞米).
"""

from __future__ import annotations

from cnclip.text.synonyms import group_synonyms

_LINES = """
番茄 西红柿
土豆 马铃薯
红薯 番薯
菠萝 凤梨
猕猴桃 奇异果
樱桃 车厘子
自行车 脚踏车 单车
出租车 计程车 的士
公交车 公共汽车 巴士
卡车 货车
手机 移动电话
电脑 计算机
笔记本电脑 手提电脑
照相机 相机
电视 电视机
冰箱 电冰箱
洗手间 卫生间
椅子 座椅
雨伞 伞
墨镜 太阳镜 太阳眼镜
衬衫 衬衣
手提包 手袋
书包 双肩包
男人 男子 男士
女人 女子 女士
男孩 男孩子 男孩儿
女孩 女孩子 女孩儿
孩子 小孩 小孩子
小朋友 小孩
婴儿 宝宝
老人 老人家
爸爸 父亲
妈妈 母亲
爷爷 祖父
奶奶 祖母
医生 大夫
老师 教师
警察 警员
运动员 选手
司机 驾驶员
农民 农夫
小狗 狗狗
小猫 猫咪
小鸟 鸟儿
狗 狗狗
猫 猫咪
草地 草坪
沙滩 海滩
大海 海洋
河边 河畔
湖边 湖畔
海边 海滨
马路 街道
山顶 山巅
树林 林子
岩石 石头
天空 天上
月亮 月球
游泳池 泳池
超市 超级市场
商店 店铺
饭店 餐馆 餐厅
酒店 宾馆
奔跑 飞奔
行走 步行
玩耍 嬉戏 玩乐
聊天 闲聊 谈天
观看 观望
拍照 照相 拍照片
睡觉 入睡
吃饭 用餐
表演 演出
比赛 竞赛
站立 直立
许多 很多 好多
漂亮 美丽 好看
开心 高兴 快乐
旁边 边上
里面 里边 里头
外面 外边 外头
前面 前方 前边
后面 后方 后边
上面 上方 上边
下面 下方 下边
左边 左侧 左面
右边 右侧 右面
中间 当中
正在 在
"""

EQUIVALENTS = group_synonyms(
    (line.split() for line in _LINES.splitlines() if line),
    never_replaced=["在"],  # 在草地上 is no 正在草地上
)
