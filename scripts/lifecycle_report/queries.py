"""What the report reads: the published file, and of it only numbers of groups of people."""

import re

import duckdb

from common import WRONG, Problem, quoted

MONTHS = 24  # that charts go back before the latest one
COHORTS, PERIODS = 24, 12  # of the heat map
LOCATIONS, LISTED = 12, 40  # rows of the locations, and of every other list that can be long
FEW = 8  # rows of what is only the top of a list
MIN_SPELLS = 30  # people or spells behind a point of a curve: of fewer it is noise
WEEKS = 53  # of daily habits, one point a week

# marts that a project may not have yet: without them their sections are not there
OPTIONAL = {
    "habit_metrics", "active_day_histogram", "onboarding_cohorts", "customer_habits", "subscriptions", "subscription_movements",
}  # fmt: skip

# Every number of the report comes from one of these. Marts with a row per person are only counted and summed: none of
# their identifying columns is named, and a group of fewer than min_group_size people is added to the others.
QUERIES = {
    "settings": "select *, as_of_date - (active_days - 1) as active_since from build_settings",
    "money": f"""select growth_accounting.*, coalesce(cohort_retention.net_revenue, 0) as new_revenue
        from growth_accounting left join cohort_retention on activity_month = month and period_index = 0
        where month >= (select max(month) from growth_accounting) - interval {MONTHS + 12} month order by month""",
    "segment_changes": """select segment, sum(now) as now, sum(before) as before from (
            select to_segment as segment, customers as now, 0 as before from rfm_transitions
            where month = (select max(month) from rfm_transitions where is_complete)
            union all select from_segment, 0, customers from rfm_transitions
            where month = (select max(month) from rfm_transitions where is_complete)
        ) where segment in (select segment from rfm_grid) group by segment order by abs(sum(now) - sum(before)) desc, segment""",
    "list": f"""select month, is_complete, channel, sum(opt_ins) as opt_ins, sum(opt_outs + unsubscribed) as opt_outs,
            sum(complaints + hard_bounces + erased) as lost, sum(net_growth) as net_growth,
            sum(contactable_addresses) as contactable
        from consent_changes where month >= (select max(month) from consent_changes) - interval {MONTHS} month
        group by month, is_complete, channel order by month, contactable desc, channel""",
    "next_actions": """select next_best_action as action, any_value(next_best_objective) as objective, count(*) as people,
            sum(historic_value) as value, list(distinct next_best_channel order by next_best_channel) as channels
        from customer_campaign_facts where next_best_action != 'none' group by action order by value desc, people desc, action""",
    "no_action": "select count(*) as people from customer_campaign_facts where next_best_action = 'none'",
    "gains": """select audience_summary.audience, objective, to_send, result, goal_window_days, revenue_difference,
            revenue_difference_low as low, revenue_difference_high as high
        from audience_summary join campaign_results on audience_summary.audience = campaign_results.audience where to_send > 0
        order by low is null, low <= 0 and high >= 0, to_send * revenue_difference desc, audience_summary.audience""",
    "today": """select users, customers, repeat_customers, loyal_customers, active_users, passive_users
        from lifecycle_metrics where metric_date = (select as_of_date from build_settings)""",
    "year_ago": """select users, customers
        from lifecycle_metrics where metric_date = (select as_of_date - interval 1 year from build_settings)""",
    "metrics": "from metric_health order by position",
    "trend": f"""select metric_date, users, customers, active_users, passive_users, user_activation_rate,
            repeat_customer_rate, loyal_customer_rate, active_users / nullif(users, 0) as active_share, session_depth
        from lifecycle_metrics, build_settings
        where (metric_date = last_day(metric_date) or metric_date = as_of_date)
            and metric_date >= date_trunc('month', as_of_date) - interval {MONTHS} month order by metric_date""",
    "value": "select sum(customers) as customers, sum(net_revenue) as net_revenue from rfm_grid",
    "stages": "from stage_summary order by position",
    "thresholds": "from stage_thresholds",
    "flows": """select month, from_stage, to_stage, people,
            regexp_replace(from_label, '^from: ', '') as from_label, regexp_replace(to_label, '^to: ', '') as to_label
        from stage_transitions where month = (select max(month) from stage_transitions where is_complete)""",
    "stage_months": f"""select to_stage as stage, month, sum(people) as people from stage_transitions
        where month >= (select max(month) from stage_transitions) - interval {MONTHS} month
        group by to_stage, month order by to_stage, month""",
    "growth": f"""from growth_accounting
        where month >= (select max(month) from growth_accounting) - interval {MONTHS} month order by month""",
    "cohorts": f"""select cohort_month, cohort_size, period_index, retention, is_complete from cohort_retention
        where period_index <= {PERIODS}
            and cohort_month in (select distinct cohort_month from cohort_retention order by 1 desc limit {COHORTS})
        order by cohort_month desc, period_index""",
    "all_cohorts": f"""select period_index, sum(active_customers) / sum(cohort_size) as retention, count(*) as cohorts
        from cohort_retention where is_complete and period_index between 1 and {PERIODS}
        group by period_index order by period_index""",
    "values": f"""select left(cohort_month, 4) as year, age_days, sum(eligible_customers) as people,
            sum(net_revenue) / nullif(sum(eligible_customers), 0) as value
        from cohort_value where cohort_type = 'month'
        group by year, age_days having sum(eligible_customers) >= {MIN_SPELLS} order by year, age_days""",
    "comebacks": f"""select date_trunc('month', return_date)::date as month, count_if(from_stage = 'at_risk') as at_risk,
            count_if(from_stage = 'lapsed') as lapsed, count_if(message_at is not null) as after_a_message,
            sum(net_amount) as net_revenue, max(comeback_window_days) as window_days
        from comebacks, build_settings where return_date >= date_trunc('month', as_of_date) - interval {MONTHS} month
        group by month order by month""",
    "comeback_campaigns": f"""select campaign_name, message_at is null as is_none, count(*) as people,
            median(days_away) as days_away, sum(net_amount) as net_revenue
        from comebacks, build_settings where return_date > as_of_date - interval 1 year
        group by campaign_name, is_none order by is_none, people desc, campaign_name limit {LISTED}""",
    "products": f"""select product_name, category, buyers, orders, net_revenue, first_buyer_share, followed_first_buyers,
            second_order_rate_90d, next_product_name, count(*) over () as products
        from products where orders > 0 order by net_revenue desc, product_key limit {FEW + 4}""",
    "groups": """with people as (
            select unnest(['acquisition_channel', 'country']) as kind,
                unnest([acquisition_channel, country]) as name, is_customer, is_repeat_customer, stage, net_revenue,
                first_order_date >= date_trunc('month', as_of_date + 1) - interval 12 month
                    and first_order_date < date_trunc('month', as_of_date + 1) as is_this_year,
                first_order_date >= date_trunc('month', as_of_date + 1) - interval 24 month
                    and first_order_date < date_trunc('month', as_of_date + 1) - interval 12 month as is_year_before
            from customers, build_settings where stage != 'erased'
        ), counted as (
            select kind, coalesce(name, 'unknown') as name, count(*) as people, count_if(is_customer) as customers,
                count_if(is_repeat_customer) as repeat_customers, count_if(stage in ('at_risk', 'lapsed')) as leaving,
                sum(net_revenue) as net_revenue, count_if(is_this_year) as this_year, count_if(is_year_before) as year_before
            from people group by all
        ), folded as (
            select kind, if(people < min_group_size, 'other', name) as name, sum(columns(* exclude (kind, name, min_group_size)))
            from counted, (select min_group_size from build_settings) group by all
        )
        select folded.*, value_90.net_revenue_per_customer as value_90d, value_360.net_revenue_per_customer as value_360d
        from folded
        left join cohort_value value_90
            on value_90.cohort_type = kind and value_90.dimension_value = name and value_90.age_days = 90
        left join cohort_value value_360
            on value_360.cohort_type = kind and value_360.dimension_value = name and value_360.age_days = 360
        order by kind, customers desc, folded.people desc, name""",
    "rfm_cells": "from rfm_grid order by r_score desc, f_score",
    "rfm_segments": """select segment, sum(customers) as customers, sum(net_revenue) as net_revenue
        from rfm_grid group by segment order by net_revenue desc, segment""",
    "return_curve": f"""from return_curve
        where is_at_risk_threshold or is_lapsed_threshold or (days_since_last_order % 7 = 0 and spells >= {MIN_SPELLS})
        order by days_since_last_order""",
    "extra_locations": """select extra_locations, sum(users) as users, sum(active_users) as active_users
        from location_cohorts where month = (select max(month) from location_cohorts) and not is_suppressed
        group by extra_locations order by extra_locations""",
    "locations": f"""with latest as (
            select * from location_cohorts where month = (select max(month) from location_cohorts)
        ), ranked as (
            select *, dense_rank() over (order by location_users desc, default_location) as place
            from (select *, sum(coalesce(users, 0)) over (partition by default_location) as location_users from latest)
            where default_location not in ('other', 'unknown')
        )
        select * exclude (location_users), max(place) over () as locations from ranked
        qualify place <= {LOCATIONS} order by place, extra_locations""",
    "touchpoints": "from touchpoint_gaps order by position",
    "engagement": """select campaign_key, campaign_name, channel, campaign_type, sum(sent) as sent, sum(delivered) as delivered,
            sum(opened) as opened, sum(clicked) as clicked, sum(unsubscribed) as unsubscribed, sum(complained) as complained,
            sum(click_orders) as orders, sum(click_revenue) as revenue, sum(cost) as cost,
            any_value(measured_audience) as measured_audience
        from campaign_engagement, build_settings
        where month >= date_trunc('month', as_of_date + 1) - interval 12 month
        group by all having sum(sent) > 0 order by sent desc, campaign_key""",
    "audiences": "from audience_summary order by people desc, audience",
    "results": "from campaign_results order by difference is null, difference desc, assigned_people desc, audience",
    "habit_weeks": f"""select habit_metrics.* from habit_metrics, build_settings
        where (as_of_date - metric_date) % 7 = 0 and metric_date > as_of_date - {7 * WEEKS} order by metric_date""",
    "habit_days": """select month, active_days, people from active_day_histogram
        where month = (select max(month) from active_day_histogram where is_complete) order by active_days""",
    "habit_steps": """select kind, name, sum(mature_people) as mature_people, sum(done_in_7d) as done_in_7d,
            min(cohort_month) as first_month, max(cohort_month) as last_month
        from onboarding_cohorts where cohort_month in (
            select distinct cohort_month from onboarding_cohorts where is_complete and mature_people = people and people > 0
            order by 1 desc limit 6)
        group by kind, name having sum(mature_people) > 0 order by kind, done_in_7d desc, name""",
    "habits": """select count_if(active_days_30d > 0) as active, count_if(current_streak_days >= 7) as on_a_streak,
            count_if(median_days_between is not null) as with_rhythm, count_if(is_slipping) as slipping
        from customer_habits having count_if(first_active_date is not null) > 0""",
    "reading": """select channel, habit, count(*) as people from (
            select unnest(['email', 'sms', 'push']) as channel, unnest([email_habit, sms_habit, push_habit]) as habit
            from customer_habits
        ) where habit is not null group by channel, habit order by channel, habit""",
    "movements": f"""from subscription_movements
        where month >= (select max(month) from subscription_movements) - interval {MONTHS} month order by month""",
    "plans": """select plan, count(*) as subscriptions, sum(monthly_price) as monthly, count_if(is_trial) as trials,
            count_if(is_upgrade_candidate) as upgrade_candidates
        from subscriptions where is_active group by plan order by monthly desc, plan""",
    "sources": "from source_tables order by source, table_name",
    "rejected": "from rejected_reasons order by rejected_rows desc, source, table_name, reason",
}


def read(published):
    """The rows of every query, as {name: [{column: value}]}; raise Problem if the file cannot give them."""
    if not published.is_file():
        raise Problem(WRONG, f"there is no published file {published}; `make build` or `make demo` makes it, or give --from")
    with duckdb.connect() as connection:
        connection.execute(f"attach {quoted(published)} as published (read_only)")
        there = {table for (table,) in connection.execute("select table_name from duckdb_tables()").fetchall()}
        rows = {}
        for name, query in QUERIES.items():
            if (OPTIONAL - there) & set(re.findall(r"\w+", query)):
                rows[name] = []
                continue
            try:
                connection.execute("use published.marts")
                cursor = connection.execute(query)
            except (duckdb.CatalogException, duckdb.BinderException) as error:
                what = str(error).split("\n", 1)[0]
                raise Problem(WRONG, f"{published} lacks what the report needs ({what}); run `make build`") from None
            columns = [column[0] for column in cursor.description]
            rows[name] = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    return rows
