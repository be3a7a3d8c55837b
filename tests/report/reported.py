"""Published files with something changed, for tests of the report."""

import shutil

import duckdb


def changed(published, path, *statements):
    """A copy of a published file with the statements done to it."""
    shutil.copy(published, path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("use marts")
        for statement in statements:
            connection.execute(*statement if isinstance(statement, tuple) else (statement,))
    return path


def measured(published, path):
    """The demo with two measured campaigns, one waiting, and somebody who entered and left an audience.

    Of lapsed the conversions differ and the revenue does not, of at_risk the other way round.
    """
    result = """update campaign_results set assigned_people = {n}, treated_people = {t}, control_people = {c},
        treated_conversions = {tc}, control_conversions = {cc}, treated_conversion_rate = {tc} / {t},
        control_conversion_rate = {cc} / {c}, difference = {tc} / {t} - {cc} / {c}, difference_low = {low},
        difference_high = {high}, result = '{result}', incremental_revenue = {revenue}, cost = {cost},
        revenue_difference = {revenue} / {t}, revenue_difference_low = {each_low}, revenue_difference_high = {each_high}
        where audience = '{audience}'"""
    return changed(
        published,
        path,
        result.format(audience="lapsed", n=525, t=426, c=99, tc=73, cc=1, low=0.10564, high=0.20083, revenue=-7886.1661,
                        each_low=-61.5, each_high=24.5, cost="null", result="treated convert more"),
        result.format(audience="at_risk", n=122, t=55, c=67, tc=14, cc=17, low=-0.14969, high=0.15702, revenue=12345.5,
                        each_low=101.25, each_high=347.5, cost=1100, result="no difference shown"),
        "update campaign_results set assigned_people = 1234, waiting_people = 1234 where audience = 'win_back'",
        "update audience_summary set people_entered = 208, people_left = 98 where audience = 'lapsed'",
        "update audience_summary set people_entered = 3, people_left = 0 where audience = 'champions'",
    )  # fmt: skip
