import numpy as np
from scipy import stats

from omnisila.evaluation.reaction import impute, pearson, spread


def test_pearson_is_scipys_per_emotion_at_any_scale() -> None:
    random = np.random.default_rng(0)
    truth, predicted = random.random((40, 7)), random.random((40, 7)) * 1e-9
    result = pearson(truth, predicted)
    wanted = np.asarray([stats.pearsonr(truth[:, column], predicted[:, column])[0] for column in range(7)], float)
    np.testing.assert_allclose(result.per_emotion, wanted, atol=1e-9)
    assert not result.constant.any()


def test_a_constant_column_scores_zero_and_is_flagged() -> None:
    truth = np.array([[0.1, 0.1], [0.5, 0.5], [0.9, 0.9]])
    result = pearson(truth, np.column_stack([truth[:, 0], np.full(3, 0.3)]))
    np.testing.assert_allclose(result.per_emotion, [1, 0])
    np.testing.assert_allclose(result.mean, 0.5)
    assert result.constant.tolist() == [False, True]


def test_one_item_is_constant_and_none_is_undefined() -> None:
    assert pearson(np.ones((1, 2)), np.zeros((1, 2))).constant.all()
    assert np.isnan(pearson(np.ones((0, 2)), np.zeros((0, 2))).mean)


def test_collapse_shows_and_gaps_are_filled_and_counted() -> None:
    shown = spread(np.array([[0.5], [0.5], [0.5], [0.9]]))
    assert shown.repeated_frac.tolist() == [0.75]
    assert (shown.least[0], shown.largest[0]) == (0.5, 0.9)
    filled = impute(np.array([[np.nan, 0.2], [0.3, 0.4]]), np.array([0.7, 0.8]))
    assert filled.intensities.tolist() == [[0.7, 0.2], [0.3, 0.4]]
    assert filled.item_frac == 0.5
