{#- a date that is missing would let somebody pay for good -#}
{%- set status, interval = "lower(" ~ strip('status') ~ ")", "lower(" ~ strip('interval') ~ ")" -%}
{{ typed_rows(
    source('shop', 'subscriptions'),
    reject_when=[
        "when price < 0 then 'price: negative'",
        "when " ~ interval ~ " not in ('week', 'month', 'quarter', 'year')"
            ~ " then 'interval: not week, month, quarter or year'",
        without_exchange_rate('currency', 'started_at'),
        "when cancelled_at < started_at then 'cancelled_at: before started_at'",
        "when cancelled_at is null and " ~ status ~ " in ('cancelled', 'canceled', 'ended', 'expired')"
            ~ " then 'cancelled_at: missing, though the status says that it ended'",
        "when paused_at is null and cancelled_at is null and " ~ status ~ " = 'paused'"
            ~ " then 'paused_at: missing, though the status says that it is paused'",
    ],
    remark_when=[
        {
            'when': 'paused_at < renewed_at',
            'text': 'paused_at: before renewed_at, taken as paused ever since; leave it empty once a pause is over',
        },
    ]
) }}
