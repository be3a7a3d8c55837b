{{ typed_rows(source('shop', 'orders'), reject_when=[without_exchange_rate('currency', 'ordered_at')]) }}
