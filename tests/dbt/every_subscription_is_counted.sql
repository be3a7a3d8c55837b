-- none that began by as_of_date is lost on the way, nor, but those of erased people, in the mart
select staged.subscription_id
from {{ ref('stg_shop__subscriptions') }} as staged
inner join {{ ref('int_as_of') }} as as_of on staged.started_at < as_of.as_of_end
left join {{ ref('int_subscriptions') }} as known
    on staged.source_system = known.source and staged.subscription_id = known.subscription_id
left join {{ ref('subscriptions') }} as published on known.subscription_key = published.subscription_key
left join {{ ref('int_erased_people') }} as erased on known.person_id = erased.person_id
where
    known.subscription_key is null
    or (published.subscription_key is null) != (erased.person_id is not null)
