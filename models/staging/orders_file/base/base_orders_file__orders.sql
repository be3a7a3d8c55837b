{{ typed_rows(source('orders_file', 'orders'), reject_when=[without_exchange_rate('currency', 'ordered_at')]) }}
