"""What the app says in Japanese of files of problems, and of answers that are judged blind."""

ASKED = {
    "file.title": "問題のファイルにまとめて答える",
    "file.intro": (
        "{endings} のファイルを受け取ります。一行に一問を、上の欄と同じ書き方か JSON で書いてください。"
        "CSV には `problem` という列か、問題の要素ごとの列(`numbers` と `target` など)が必要です。"
        "大きさは {size} MB、{most} 行までです。上で選んだモデルと探索で一問ずつ解きます。"
        "ファイルも回答もアプリには残らず、このページの中だけにあります。"
    ),
    "file.file": "問題のファイル",
    "file.ways": "答え方",
    "file.button": "ファイルの問題を解く",
    "file.asked": "解いた行",
    "file.large": "問題のファイルは {most} MB までです。",
    "file.many": "ファイルは {most} 行までです。それより多い問題は `ltf solve --problems` で解けます。",
    "file.no_way": "答え方を少なくともひとつ選んでください。",
    "file.empty": "ファイルに問題がありません。一行に一問を書いてください。",
    "file.none": "このタスクの問題として読める行がありません。最初の行: {why}",
    "file.line": "{n} 行目: {why}",
    "file.solved": "{way}: {n} 問中 {solved} 問が正解。",
    "file.unchecked": "{way}: {n} 問に答えましたが、正しいかどうかは確かめられませんでした。",
    "file.bad": "解かせることができなかったもの: {n} 件(理由はそれぞれの行にあります)。",
    "file.stopped": "{of} 行のうち {n} 行で終わりました。",
    "file.first": "全 {of} 行のうち最初の {n} 行",
    "file.answer": "回答",
    "file.verdict": "判定",
    "file.download": "ダウンロード:",
    "blind.title": "名前を伏せて二つの回答を比べる",
    "blind.intro": (
        "二つの答え方で同じ問題を解き、名前、トークン、時間、判定を伏せて、A と B として無作為な順に並べます。"
        "どちらが良いかを選ぶと、次のテスト問題に進みます。いくつ判定するかは、始める前に決めてください。"
        "途中で結果を見て都合のよいところでやめると、実際にはない差が見えてしまいます。"
        "判定の記録はこのページの中だけにあります。"
    ),
    "blind.pair": "比べる二つ",
    "blind.pair.before-single": "一回の回答、訓練前と訓練後",
    "blind.pair.single-search": "訓練後の一回の回答と、訓練前の探索",
    "blind.pair.before-search": "訓練前の一回の回答と、訓練前の探索",
    "blind.start": "上の問題で判定する",
    "blind.vote.a": "A のほうが良い",
    "blind.vote.b": "B のほうが良い",
    "blind.vote.equal": "同じくらい",
    "blind.count": "判定した問題: {n} 問",
    "blind.show": "結果を見る",
    "blind.empty": "回答がここに現れます。",
    "blind.waiting": "回答しています …",
    "blind.no_pair": "その二つの組はありません。一覧から選んでください。",
    "blind.anew": "タスク、モデル、設定のどれかが変わったので、はじめから数え直します。",
    "blind.twice": "上の問題はもう判定しました。別の問題を出します。",
    "blind.known": "上の問題の回答はすでに名前つきで表示されました。別の問題を出します。",
    "blind.all": "まだ判定も比較もしていないテスト問題が見つかりません。自分の問題を入力してください。",
    "blind.none": "まだ何も判定していません。",
    "blind.preferred": "選ばれた数",
    "blind.right": "{n} 問中 {right} 問",
    "blind.few": "まだ判断できません: 優劣のついた判定は {n} 件で、少なくとも {least} 件必要です。",
    "blind.told": (
        "「{way}」のほうが好まれました: 優劣のついた判定 {n} 件のうち {k} 件、{share} % "
        "[{low}〜{high}]、符号検定で p = {p}。"
    ),
    "blind.not_told": (
        "差はわかりません: 「{way}」が選ばれたのは、優劣のついた判定 {n} 件のうち {k} 件、{share} % "
        "[{low}〜{high}]、符号検定で p = {p}。"
    ),
}
