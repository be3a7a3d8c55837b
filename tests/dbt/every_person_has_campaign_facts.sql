select customers.person_id
from {{ ref('customers') }} as customers
left join {{ ref('customer_campaign_facts') }} as facts on customers.person_id = facts.person_id
where
    facts.person_id is null
    or facts.historic_value is distinct from customers.net_revenue
    -- nothing is proposed on a channel that may not be used
    or (facts.next_best_channel = 'email' and not customers.can_email)
    or (facts.next_best_channel = 'sms' and not customers.can_sms)
    or (facts.next_best_channel = 'push' and not customers.can_push)
    or (facts.next_best_channel = 'ads' and not customers.can_ads)
    -- and nothing but money is known of erased people
    or (
        customers.stage = 'erased'
        and (
            facts.next_best_action != 'none' or facts.loyalty_tier != 'none' or facts.is_advocate
            or facts.next_product_key is not null or facts.replacement_product_key is not null
            or facts.orders_a_year != 0 or facts.simple_clv != 0 or facts.contact_pressure != 0 or facts.is_fatigued
        )
    )
