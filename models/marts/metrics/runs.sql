with recorded as (
    select * from {{ source('state', 'runs') }}
),

final as (
    select
        run,
        {{ change_zone('started_at', 'UTC', var('business_time_zone')) }} as started_at,
        {{ change_zone('ended_at', 'UTC', var('business_time_zone')) }} as ended_at,
        outcome,
        exit_code,
        failed_step,
        message,
        as_of_date,
        version,
        versions,
        settings,
        definitions,
        raw_rows,
        headlines,
        passed_tests,
        warned_tests,
        failed_tests,
        alarms,
        accepted,
        coalesce(is_published, false) as is_published,
        exported_run,
        exported_rows,
        steps
    from recorded
)

select * from final
