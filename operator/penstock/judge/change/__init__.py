"""Change over time: has the world moved since the model was released, how, and is it both arms together?

| module       | question                                                                      |
|--------------|-------------------------------------------------------------------------------|
| `score`      | how do integer histograms become one bounded number a step?                   |
| `reference`  | what is usual at this hour of the week, and how sure is that?                 |
| `tolerance`  | how far may the mean move before it counts, and what is found within a day?   |
| `detector`   | e-SR and e-CUSUM: evidence against "no change", with a bound on false alarms  |
| `history`    | the past in logarithmic memory                                                |
| `shape`      | did it jump (a broken feed) or creep (the world)? since when?                 |
| `watch`      | all of the above for one model, a step at a time                              |
| `codec`      | its state as text                                                             |
| `runlength`  | exact average run lengths of the classical charts                             |
| `cusum`      | Page's charts on three scales with thresholds from a run length               |
| `poisson`    | the same for counts                                                           |
| `shared`     | do both arms fail more than before the release?                               |

Everything is a pure function of a frozen state and one step's numbers; numpy and scipy only.
"""
