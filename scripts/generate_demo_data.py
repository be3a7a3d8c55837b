"""Make the demo: raw Parquet files of a shop, an app and an e-mail service (ESP), as untidy as real ones.

A mid-size outdoor-and-coffee shop with a weather app. Writes `<out>/<system>/<table>.parquet`. Same arguments and
same DuckDB version, same bytes: every random-looking number is a hash of (seed, entity, purpose), never `random()`.
All people, products and addresses are invented: mail domains are the reserved example.com, .net and .org, telephone
numbers come from the ranges that DE, FR, GB and US reserve for fiction (above some 60,000 customers they repeat;
customers elsewhere have none).

How people behave: sign-ups grow over the years; about half of the customers ever buy. A buyer has a gamma-distributed
weekly rate (so counts are negative binomial), an exponential lifetime (a third never return), for some a long pause in
the middle, and a taste for dear or cheap products. Weeks follow a yearly season. App visits have rates and lifetimes
of their own; orders on web and app end a session. Messages go only to addresses that are opted in at that moment.

The mess, on purpose, and where:
- exact duplicate rows: shop customers, orders, refunds; app events
- newer versions of a key (later updated_at): orders change status, customers move to another city
- guest checkouts: no customer_id, an e-mail of a customer in other case or padding, or an unknown one, or none at all
- one person, two accounts: the same e-mail in other case; an app user with one account's id and another's e-mail
- one reception desk's address on 14 accounts; customers without e-mail; people without orders, or without app
- cancelled orders, also spelled 'Canceled'; unknown status 'on_hold'; test orders; zero-value orders
- refunds weeks later, partial and full; three of them after --as-of
- ordered_at is text: with offset, with Z, or (store) without either, then wall clock in Berlin, as in customers,
  refunds (a bare date) and feedback; the other times are UTC instants
- rows out of order, late (updated_at weeks after ordered_at), later than --as-of, and one event in 2099
- orders in EUR, USD, GBP, CHF, and a few in XXX, for which there is no exchange rate
- untypable gross_amount 'n/a' and ordered_at 'not available'; null order_id; null customer_id
- unknown event 'widget_resized'; consents opted in and out at the same moment, or changed after --as-of;
  consent and order e-mails in other case or padding than the customer's
"""

import argparse
import datetime as dt
import os
import shutil
import sys
import time
from pathlib import Path

import duckdb

MARKER = ".demo_data"  # says that a folder was made by this script, and may be replaced by it

# country | region | city | language | time zone | standard offset from UTC | currency | share of people in percent
PLACES = """
DE|Berlin|Berlin|de|Europe/Berlin|1|EUR|10
DE|Bayern|München|de|Europe/Berlin|1|EUR|9
DE|Hamburg|Hamburg|de|Europe/Berlin|1|EUR|6
DE|Nordrhein-Westfalen|Köln|de|Europe/Berlin|1|EUR|7
DE|Sachsen|Leipzig|de|Europe/Berlin|1|EUR|4
DE|Baden-Württemberg|Freiburg im Breisgau|de|Europe/Berlin|1|EUR|4
AT|Wien|Wien|de|Europe/Vienna|1|EUR|6
AT|Tirol|Innsbruck|de|Europe/Vienna|1|EUR|4
CH|Zürich|Zürich|de|Europe/Zurich|1|CHF|4
CH|Genève|Genève|fr|Europe/Zurich|1|CHF|2
FR|Île-de-France|Paris|fr|Europe/Paris|1|EUR|7
FR|Auvergne-Rhône-Alpes|Grenoble|fr|Europe/Paris|1|EUR|4
FR|Bretagne|Brest|fr|Europe/Paris|1|EUR|2
GB|England|London|en|Europe/London|0|GBP|7
GB|England|Manchester|en|Europe/London|0|GBP|3
GB|Scotland|Edinburgh|en|Europe/London|0|GBP|3
US|New York|New York|en|America/New_York|-5|USD|5
US|Colorado|Denver|en|America/Denver|-7|USD|3
US|Washington|Seattle|en|America/Los_Angeles|-8|USD|3
PL|Małopolskie|Kraków|pl|Europe/Warsaw|1|EUR|2
GR|Αττική|Αθήνα|el|Europe/Athens|2|EUR|2
BG|София|София|bg|Europe/Sofia|2|EUR|1
JP|東京都|東京|ja|Asia/Tokyo|9|USD|2
"""

# category | brand | days until a new one is needed (empty: never) | product=price in EUR; ...
PRODUCTS = """
Coffee|Harbour Roast||Morning Blend 250 g=7.9;Morning Blend 1 kg=24.9;Decaf 250 g=8.5;Single Origin Hills 250 g=11.9
Coffee|Nordlicht||Espresso 250 g=8.9;Espresso 1 kg=27.9;Filter Roast 500 g=15.5;Winter Edition 250 g=10.9
Coffee gear|Harbour Roast|30|Paper Filters 100=4.2;Cold Brew Bags 30=6.4
Coffee gear|Nordlicht|90|Water Filter Cartridge=12.9;Descaler 500 ml=9.9
Coffee gear|Kessel|730|Glass Pot 0.8 l=29.9;Milk Jug=18.9;Camping Press=34.9
Coffee gear|Kessel|1825|Hand Grinder=79;Gooseneck Kettle=94;Espresso Maker=249
Tents and sleep|Lakeside|2920|Two-Person Tent=289;Family Tent=459;Tarp 3x3=89
Tents and sleep|Lakeside|1825|Down Sleeping Bag=239;Summer Sleeping Bag=99;Insulated Mat=119;Foam Mat=29.9
Clothing|Wetterfest|1460|Rain Jacket=179;Shell Jacket=299;Rain Trousers=89;Insulated Vest=119
Clothing|Fjordline||Merino Shirt=69;Wool Beanie=27.9;Fleece Pullover=79;Neck Tube=16.9
Clothing|Fjordline|365|Hiking Socks=17.9;Merino Socks 2 Pack=29.9;Base Layer=59
Footwear|Wetterfest|730|Trail Shoes=129;Hiking Boots=199;Camp Sandals=64
Footwear|Wetterfest|180|Insoles=19.9;Boot Wax=8.9;Waterproofing Spray=13.9
Packs|Lakeside||Day Pack 22 l=84;Trekking Pack 55 l=189;Dry Bag 10 l=19.9;Hip Bag=34.9
Camp kitchen|Kessel|1095|Gas Stove=54;Titanium Pot=62;Enamel Mug=12.9;Folding Cutlery=14.9
Camp kitchen|Fjordline|60|Trail Meal Lentils=8.4;Trail Meal Pasta=8.4;Oat Bars 12=14.4;Electrolyte Tabs=7.2
Camp kitchen|Kessel||Steel Bottle 0.75 l=26.9;Gas Cartridge=6.9
Weather and light|Barograph|1825|Pocket Barometer=74;Weather Station=139
Weather and light|Barograph|730|Head Torch=44.9;Solar Charger=69
"""

# share of people in percent | first names | last names
NAMES = """
20|Anna;Zoë;Jürgen;Søren;Chloé|Müller;Schäfer;Weiß;Østergaard;van den Berg
20|François;Björn;Łukasz;Małgorzata;Inês|Lefèvre;O'Brien;D'Angelo;Nowak;Wójcik
20|Noah;Mia;Émile;Anaïs;Oğuz|Smith-Jones;Núñez;Çelik;Dubois;Carter
32|Lena;Paul;Grace;Jack;Max;Sofia|Fischer;Wagner;Bernard;Walker;Okafor, Jr.;Hughes
3|Олена;Дмитро;Иван;Мария|Шевченко;Коваленко;Иванова;Петров
3|Ελένη;Γιώργος;Νίκος|Παπαδοπούλου;Γεωργίου;Νικολάου
2|美咲;大輔;王伟;지민|佐藤;鈴木;王;김
"""

# Small functions in SQL. u: uniform on (0, 1) for a key and a purpose; all other chance derives from it.
MACROS = """
set timezone = 'UTC';
create macro u(k, purpose) as
    ((hash(xor(hash(k::bigint), hash(purpose || '/' || seed()))) >> 11) + 0.5) / 9007199254740992;
create macro expo(k, purpose) as -ln(u(k, purpose));
create macro normal(k, purpose) as sqrt(2 * expo(k, purpose)) * cos(2 * pi() * u(k, purpose || ' angle'));
create macro arrivals(k, purpose, mean) as floor(ln(u(k, purpose)) / ln(mean / (1 + mean)))::int;
create macro pick(list, k, purpose) as list[1 + floor(len(list) * u(k, purpose))::int];
create macro later(ts, k, purpose, days) as ts + to_seconds(floor(86400 * days * expo(k, purpose)));
create macro clock(k, purpose, utc_offset) as
    to_seconds(floor(3600 * (7 - utc_offset + 7.5 * (u(k, purpose || ' hour') + u(k, purpose || ' minute')))));
create macro end_at() as as_of() + interval 22 hour;  -- before midnight in Berlin and in UTC
create macro week_of(ts) as (ts::date - first_day()) // 7;
create macro weekday_in(week, k, purpose) as
    first_day() + (7 * week + pick([0, 0, 1, 2, 2, 3, 3, 4, 4, 4, 5, 5, 5, 5, 6, 6], k, purpose))::int;
create macro season(d) as [0.9, 0.85, 1.0, 1.05, 1.1, 0.95, 0.75, 0.75, 0.95, 1.0, 1.35, 1.75][month(d::date)];
create macro wall_clock(ts, zone) as (ts at time zone 'UTC') at time zone zone;
create macro utc(ts) as ts at time zone 'UTC';
create macro berlin(ts) as wall_clock(ts, 'Europe/Berlin');
create macro with_offset(ts, there) as strftime(there, '%Y-%m-%dT%H:%M:%S') || if(there < ts, '-', '+')
    || lpad(abs(datediff('hour', ts, there))::varchar, 2, '0') || ':00';
create macro order_id(n) as 'O' || lpad(n::varchar, 8, '0');
create macro contact_id(n) as 'K' || lpad(n::varchar, 7, '0');
create macro product(k) as 'P' || lpad((1 + floor(product_count() * pow(u(k, 'product'), 1.4)))::int::varchar, 3, '0');
create macro a_city(k) as getvariable('cities')[1 + floor(100 * u(k, 'city'))::int];
create macro refund_day(k, ts) as if(k % 1999 = 17, as_of() + 2 + (k % 9)::int,
    later(ts + interval 3 day, k, 'refund', 14)::date);
create macro fx(currency) as case currency when 'USD' then 1.1 when 'GBP' then 0.87 when 'CHF' then 0.96 else 1 end;
create macro messy(email, k, purpose) as
    pick([upper(email), ' ' || email || '  ', upper(email[1]) || email[2:]], k, purpose);
create macro lines(txt) as table
    select row_number() over () as n, string_split(line, '|') as c
    from (select unnest(string_split(trim(txt, chr(10)), chr(10))) as line);
"""

# What several tables share. One row per: day, product, place and name (percent slots), human, order line, order, ...
SHARED = {
    "days": """
        select day, (sum(weight) over (order by day) - weight) / sum(weight) over () as p
        from (
            select day, round(1000 * season(day) * (1 + 2 * (day - first_day()) / (as_of() - first_day())))::bigint
                as weight
            from (select unnest(generate_series(first_day(), as_of(), interval 1 day))::date as day)
        )""",
    "products": """
        select *, row_number() over (order by price, product_id) - 1 as price_rank
        from (
            select 'P' || lpad((row_number() over (order by n, i))::varchar, 3, '0') as product_id,
                c[2] || ' ' || split_part(item, '=', 1) as product_name, c[1] as category, c[2] as brand,
                try_cast(c[3] as integer) as replacement_cycle_days, split_part(item, '=', 2)::double as price
            from (
                select *, unnest(string_split(c[4], ';')) as item, generate_subscripts(string_split(c[4], ';'), 1) as i
                from lines(getvariable('products'))
            )
        )""",
    "places": """
        select row_number() over (order by n, i) - 1 as slot, c[1] as country, c[2] as region, c[3] as city,
            c[4] as language, c[5] as time_zone, c[6]::int as utc_offset, c[7] as currency
        from (select *, unnest(range(c[8]::int)) as i from lines(getvariable('places')))""",
    "names": """
        select row_number() over (order by n, i) - 1 as slot, string_split(c[2], ';') as firsts,
            string_split(c[3], ';') as lasts
        from (select *, unnest(range(c[1]::int)) as i from lines(getvariable('names')))""",
    # `who` is the human behind an account: every 97th account is a second one of the human before it
    "people": """
        with accounts as (
            select no, case when no <= size() then 'registered' when no <= 1.15 * size() then 'guest'
                    when no <= 1.2 * size() then 'subscriber' else 'app_only' end as kind,
                case when kind = 'registered' and no % 97 = 0 then no - 1 else no end as who,
                kind = 'registered' and no % (size() // 14) = 3 as at_reception
            from range(1, (1.28 * size())::bigint + 1) as t(no)
        ),
        dated as (
            select a.*, d.day + clock(a.no, 'sign-up', 1) as created_at
            from accounts as a asof join days as d
                on (case when kind = 'registered' then no - u(no, 'day') else u(no, 'day') * size() end) / size() >= d.p
        ),
        described as (
            select d.*, l.* exclude (slot), 'C' || lpad(no::varchar, 7, '0') as customer_id,
                pick(n.firsts, who, 'first') as first_name, pick(n.lasts, who, 'last') as last_name,
                case when kind = 'registered' and no % 127 = 0 and created_at < end_at() - interval 90 day
                    then created_at + to_seconds(floor(epoch(end_at() - created_at) * (0.5 + u(no, 'deleted') / 2)))
                    end as deleted_at,
                case when kind = 'registered' then u(no, 'buys') < 0.53 else kind = 'guest' end as is_buyer,
                kind = 'app_only' or kind = 'registered' and u(no, 'app') < 0.6 as has_app,
                expo(no, 'rate') * case kind when 'guest' then 0.01 else 0.24 end as weekly_orders,
                case when u(no, 'never back') < 0.3 then 0 else 8 + expo(no, 'life') * 60 end as life_weeks,
                life_weeks > 0 and u(no, 'pause') < 0.15 as pauses,
                case when pauses then 4 + floor(10 * expo(no, 'pause from'))::int end as pause_from,
                case when pauses then 24 + floor(28 * u(no, 'pause weeks'))::int else 0 end as pause_weeks,
                1.5 * exp(0.4 * normal(who, 'taste')) as thrift,
                case when u(no, 'first order') < 0.7 then created_at + to_seconds(60 + floor(2000 * u(no, 'first')))
                    else later(created_at, no, 'first', 20) end as first_order_at
            from dated as d
            inner join places as l on l.slot = floor(100 * u(who, 'place'))
            inner join names as n on n.slot = floor(100 * u(who, 'name'))
        )
        select *, least(end_at(), deleted_at) as gone_at,
            least(week_of(first_order_at) + floor(life_weeks + pause_weeks)::int, week_of(gone_at)) as last_week,
            case when kind = 'app_only' or kind = 'registered' and u(who, 'no e-mail') < 0.02 then null
                when at_reception then 'reception@river-offices.example.com'
                else coalesce(nullif(regexp_replace(lower(strip_accents(first_name)), '[^a-z]', '', 'g'), ''), 'hello')
                    || pick(['.', '_', ''], who, 'dot') || who || '@'
                    || pick(['example.com', 'example.com', 'example.net', 'example.org'], who, 'domain')
                end as email,
            case when kind = 'registered' and u(who, 'phone') < 0.7 then case country
                when 'DE' then ['+493023125', '+496990009', '+494066969', '+492214710', '+498999998'][1 + who // 1000 % 5]
                    || lpad((who % 1000)::varchar, 3, '0')
                when 'FR' then ['+3363998', '+3319900', '+3326191', '+3335301'][1 + who // 10000 % 4]
                    || lpad((who % 10000)::varchar, 4, '0')
                when 'GB' then ['+447700900', '+442079460', '+441314960', '+441614960'][1 + who // 1000 % 4]
                    || lpad((who % 1000)::varchar, 3, '0')
                when 'US' then '+1' || [212, 303, 206, 312, 415, 617, 503, 702, 720, 360][1 + who // 100 % 10]
                    || '55501' || lpad((who % 100)::varchar, 2, '0')
                end end as phone
        from described""",
    "app_users": """
        select a.* replace (coalesce(other.email, a.email) as email), 'u' || lpad(a.no::varchar, 7, '0') as user_id,
            expo(a.no, 'visit rate') * 0.5 as weekly_visits,
            least(week_of(a.gone_at), week_of(a.created_at) + floor(2 + 45 * expo(a.no, 'app life'))::int) as last_visit_week
        from (
            select * replace (
                if(kind = 'registered' and (no % 89 = 0 or u(no, 'login') < 0.7), customer_id, null) as customer_id,
                if(kind = 'app_only' or u(no, 'app at once') < 0.6, created_at + interval 4 minute,
                    later(created_at, no, 'app', 50)) as created_at)
            from people where has_app
        ) as a
        left join people as other on a.kind = 'registered' and a.no % 89 = 0 and other.no = a.no - 1
        where a.created_at < a.gone_at - interval 1 day""",
    "purchases": """
        with weeks as (
            select no, utc_offset, weekly_orders, unnest(range(week_of(first_order_at), last_week + 1)) as week,
                week_of(first_order_at) + pause_from as pause_from, pause_weeks
            from people where is_buyer
        ),
        moments as (
            select no, first_order_at as ordered_at from people where is_buyer
            union all
            select no, weekday_in(week, k, 'weekday') + clock(k, 'order', utc_offset)
            from (
                select *, (no * 1000 + week) * 10 + unnest(range(arrivals(no * 1000 + week, 'orders',
                    weekly_orders * season(first_day() + (7 * week)::int)))) as k
                from weeks where coalesce(week not between pause_from and pause_from + pause_weeks, true)
            )
        ),
        numbered as (
            select row_number() over (order by m.ordered_at, m.no) as order_no, p.*, m.ordered_at
            from moments as m inner join people as p using (no)
            where m.ordered_at >= p.first_order_at and m.ordered_at < p.gone_at
        )
        select * exclude (ordered_at),
            case when order_no % 1999 = 11 then end_at() + to_seconds(3600 * (5 + order_no % 60)) else ordered_at end
                as ordered_at,
            case when has_app then pick(['web', 'web', 'web', 'app', 'app', 'app', 'store', 'phone'], order_no, 'channel')
                else pick(['web', 'web', 'web', 'web', 'store', 'store', 'phone'], order_no, 'channel') end
                as order_channel
        from numbered""",
    "items": """
        select l.order_no, l.line, p.product_id,
            case when price < 20 then pick([1, 1, 1, 2, 2, 3, 4], k, 'quantity')
                else pick([1, 1, 1, 1, 1, 1, 2], k, 'quantity') end as quantity,
            case when l.order_no % 173 = 1 then 0
                else round(price * fx(l.currency) * (1 + 0.03 * (year(l.ordered_at) - year(first_day()))), 1) - 0.05
                end::decimal(18, 2) as unit_price
        from (
            select order_no, currency, ordered_at, thrift, line, order_no * 10 + line as k
            from (select *, unnest(range(1, 2 + least(7, arrivals(order_no, 'lines', 1.3)))) as line from purchases)
        ) as l
        inner join products as p on p.price_rank = floor(product_count() * pow(u(l.k, 'product'), l.thrift))""",
    "orders": """
        select o.*, t.gross, t.first_product, case when o.order_no % 1999 = 5 then 'XXX' else o.currency end as paid_in,
            case when gross = 0 or u(o.order_no, 'discount') >= 0.15 then 0
                else round(gross * pick([0.05, 0.1, 0.1, 0.15, 0.2], o.order_no, 'percent'), 2) end::decimal(18, 2)
                as discount,
            case when u(o.order_no, 'cancelled') < 0.04 then pick(['cancelled', 'cancelled', 'Canceled'], o.order_no, 'l')
                when o.order_no % 997 = 5 then 'on_hold'
                when o.ordered_at > end_at() - interval 3 day then 'processing'
                when o.order_channel = 'store' then 'completed'
                else 'delivered' end as status,
            greatest(o.ordered_at, least(end_at(), later(o.ordered_at, o.order_no, 'update',
                case when o.order_no % 101 = 0 then 40 when o.order_channel = 'store' then 0.01 else 2 end))) as updated_at,
            o.kind = 'registered' and not (u(o.order_no, 'guest') < 0.03 and o.order_channel <> 'store' and o.email > '')
                as signed_in
        from purchases as o
        inner join (
            select order_no, sum(quantity * unit_price)::decimal(18, 2) as gross, min_by(product_id, line) as first_product
            from items group by order_no
        ) as t using (order_no)""",
    # tail: 2 ends in a checkout, 1 in a filled cart, 0 in neither
    "sessions": """
        with visits as (
            select no, utc_offset, week, (no * 1000 + week) * 100 + unnest(range(least(99, arrivals(no * 1000 + week,
                'visits', weekly_visits * (0.5 + season(first_day() + (7 * week)::int) / 2))))) as k
            from (select *, unnest(range(week_of(created_at), last_visit_week + 1)) as week from app_users)
        ),
        timed as (
            select no, k, if(u(k, 'kind') < 0.55, 'weather', 'shop') as kind,
                weekday_in(week, k, 'visit day') + clock(k, 'visit', utc_offset) as started_at, null as product_id,
                case when kind = 'weather' or u(k, 'tail') > 0.2 then 0 when u(k, 'tail') > 0.06 then 1 else 2 end as tail,
                2 + tail + least(30, arrivals(k, 'length', if(kind = 'weather', 2.5, 5))) as length
            from visits
            union all by name
            select no, -no as k, 'onboarding' as kind, created_at as started_at, 0 as tail,
                3 + floor(4 * u(no, 'steps'))::int as length
            from app_users
            union all by name
            select no, -1000000000 - order_no as k, 'order' as kind, first_product as product_id, 2 as tail,
                4 + least(20, arrivals(order_no, 'length', 4)) as length,
                ordered_at - to_seconds(60 + 30 * length) as started_at
            from orders
            where has_app and signed_in and order_channel in ('web', 'app') and ordered_at < end_at()
                and u(order_no, 'tracked') < 0.92
        )
        select t.*, a.user_id, a.city, row_number() over (order by (t.started_at + to_seconds(
            if(u(k, 'late') < 0.03, floor(432000 * u(k, 'delay')), 0)))::date, hash(k), k) as session_no
        from timed as t inner join app_users as a using (no)
        where t.started_at >= a.created_at and t.started_at < a.gone_at - interval 1 hour""",
    # a contact opts in at sign-up, leaves or not, returns or not; a spell is a time in which mail may be sent
    "contacts": """
        select *, case when opts_in and u(no, 'leaves') < 0.3 then later(opted_in_at, no, 'leaving', 400) end as would_leave,
            if(would_leave < stopped_at, would_leave, null) as left_at,
            if(u(no, 'returns') < 0.25, later(left_at, no, 'returning', 60), null) as would_return,
            if(would_return < stopped_at, would_return, null) as returned_at
        from (
            select *, created_at + to_seconds(floor(600 * u(no, 'opt in'))) as opted_in_at,
                u(no, 'opts in') < 0.85 as opts_in,
                if(no % 331 = 2, created_at + (end_at() - created_at) / 2, null) as blocked_at,
                least(gone_at, blocked_at) as stopped_at
            from people
            where email is not null and who = no and not at_reception
                and (kind = 'subscriber' or u(no, 'contact') < if(kind = 'guest', 0.3, 0.9))
        )""",
    "spells": """
        select no, 1 as spell, opted_in_at as from_at, coalesce(left_at, stopped_at) as to_at from contacts where opts_in
        union all
        select no, 2, returned_at, stopped_at from contacts where returned_at is not null""",
    "broadcasts": """
        select *, row_number() over (order by sent_at, campaign_id) as n
        from (
            select 'CMP-02' as campaign_id, 0.8 as share, (m + interval '4 days 9 hours')::timestamp as sent_at
            from (select unnest(generate_series(date_trunc('month', first_day()), as_of(), interval 1 month)) as m)
            union all
            select unnest(['CMP-03', 'CMP-04']), 0.9, unnest([make_timestamp(y, 11, 24, 7, 0, 0),
                make_timestamp(y, 3, 21, 8, 30, 0)])
            from (select unnest(range(year(first_day()), year(as_of()) + 1)) as y)
        )
        where sent_at < end_at()""",
    # CMP-07 fell silent long ago, though it is called always-on
    "messages": """
        with triggers as (
            select no, from_at + to_days(unnest([0, 3, 8])) + interval 30 minute as sent_at, 'CMP-01' as campaign_id
            from spells where spell = 1
            union all
            select no, started_at + interval 4 hour, 'CMP-05' from sessions where kind = 'shop' and tail > 0
            union all
            select no, ordered_at + interval 12 day, 'CMP-06' from orders where u(order_no, 'ask') < 0.6
            union all
            select no, ordered_at + interval 42 day, 'CMP-07' from orders
            where ordered_at < first_day() + ((as_of() - first_day()) * 0.5)::int
            union all
            select no, max(ordered_at) + to_days(unnest([150, 171])), 'CMP-08' from orders group by no
        ),
        wanted as (
            select s.no, s.spell, t.sent_at, t.campaign_id
            from triggers as t inner join spells as s on s.no = t.no and t.sent_at >= s.from_at and t.sent_at < s.to_at
            union all
            select s.no, s.spell, b.sent_at + to_seconds(floor(1800 * u(s.no, 'batch'))), b.campaign_id
            from spells as s inner join broadcasts as b on b.sent_at >= s.from_at and b.sent_at < s.to_at
            where u(s.no * 1000 + b.n, 'targeted') < b.share
        ),
        fates as (
            select *, row_number() over (order by sent_at, no, campaign_id) as m, u(m, 'fate') < 0.003 as is_hard,
                if(u(m, 'fate') < 0.01, sent_at + interval 20 second, null) as bounced_at,
                if(bounced_at is null, sent_at + to_seconds(2 + floor(90 * u(m, 'delivery'))), null) as delivered_at,
                if(u(m, 'open') < 0.06 + 0.6 * pow(u(no, 'attention'), 2), later(delivered_at, m, 'open time', 0.4), null)
                    as opened_at,
                if(u(m, 'click') < 0.15, opened_at + to_seconds(4 + floor(200 * u(m, 'click time'))), null) as clicked_at,
                if(u(m, 'unsubscribe') < 0.012, later(opened_at, m, 'unsubscribe', 0.05), null) as unsubscribed_at,
                if(u(m, 'complain') < 0.002, later(opened_at, m, 'complain', 0.05), null) as complained_at
            from wanted where sent_at < end_at() - interval 1 hour
        ),
        seen as (
            select * replace (if(opened_at < end_at(), opened_at, null) as opened_at,
                if(clicked_at < end_at(), clicked_at, null) as clicked_at,
                if(unsubscribed_at < end_at(), unsubscribed_at, null) as unsubscribed_at,
                if(complained_at < end_at(), complained_at, null) as complained_at)
            from fates
        ),
        stops as (
            select no, min(unsubscribed_at) filter (spell = 1) as first_stop,
                min(unsubscribed_at) filter (spell = 2) as second_stop,
                min(coalesce(complained_at, if(is_hard, bounced_at, null))) as last_stop
            from seen where is_hard or unsubscribed_at is not null or complained_at is not null group by no
        )
        select s.*, c.email
        from seen as s inner join contacts as c using (no) left join stops using (no)
        where sent_at < coalesce(least(if(spell = 1, first_stop, second_stop), last_stop), end_at())""",
    "referred": """
        with counted as (
            select no, count(*) filter (is_buyer) over (order by no rows between unbounded preceding and 1 preceding) as n
            from people where kind = 'registered'
        )
        select c.no, b.customer_id as referrer
        from counted as c
        inner join (
            select customer_id, row_number() over (order by no) as n from people where is_buyer and kind = 'registered'
        ) as b on b.n = 1 + floor(c.n * u(c.no, 'referrer'))
        where c.n > 0 and u(c.no, 'referred') < 0.06""",
}

# The raw tables, as DESIGN says. Every query ends in an order that is total up to equal rows: so are the bytes.
TABLES = {
    "shop/customers": """
        select if(no % 601 = 0, null, customer_id) as customer_id, if(who = no, email, messy(email, no, 'case')) as email,
            phone, first_name, last_name, coalesce(m.country, p.country) as country, coalesce(m.region, p.region) as region,
            coalesce(m.city, p.city) as city, p.language, coalesce(m.time_zone, p.time_zone) as time_zone,
            if(referrer is null, pick(['organic', 'organic', 'paid_search', 'paid_search', 'social', 'affiliate', 'store'],
                no, 'source'), 'referral') as acquisition_channel, referrer as referred_by_customer_id,
            berlin(created_at) as created_at, berlin(case when version = 1 then created_at + (gone_at - created_at) / 2
                else coalesce(deleted_at, created_at) end) as updated_at, berlin(deleted_at) as deleted_at
        from (
            select *, unnest(case when no % 199 = 7 then [0, 0] when no % 31 = 0 then [0, 1] else [0] end) as version
            from people where kind = 'registered'
        ) as p
        left join referred using (no)
        left join places as m on p.version = 1 and m.slot = floor(100 * u(no, 'moved'))
        order by updated_at::date, hash(no), version""",
    "shop/orders": """
        select if(order_no % 1999 = 9, null, order_id(order_no)) as order_id, if(signed_in, customer_id, null) as customer_id,
            case when kind = 'guest' and order_channel = 'store' and u(order_no, 'anonymous') < 0.4 then null
                when signed_in and u(order_no, 'e-mail') < 0.15 then null
                when not signed_in and u(order_no, 'e-mail') < 0.5 then messy(email, order_no, 'case')
                else email end as email,
            case when order_no % 1999 = 3 then 'not available'
                when order_channel = 'store' then strftime(berlin(ordered_at), '%Y-%m-%d %H:%M:%S')
                when u(order_no, 'zulu') < 0.1 then strftime(ordered_at, '%Y-%m-%dT%H:%M:%SZ')
                else with_offset(ordered_at, wall_clock(ordered_at, time_zone)) end as ordered_at,
            if(version = 0, 'processing', status) as status, paid_in as currency,
            if(order_no % 1999 = 7, 'n/a', gross::varchar) as gross_amount, discount::varchar as discount_amount,
            order_channel, if(order_channel = 'store' or u(order_no, 'pickup') < 0.12, 'pickup', 'delivery')
                as fulfilment_channel,
            if(discount > 0 and u(order_no, 'coupon') < 0.8, pick(['HELLO10', 'TRAIL15', 'FRIENDS', 'BEANS5', 'COMEBACK'],
                order_no, 'code'), null) as coupon_code, u(order_no, 'test') < 0.004 as is_test,
            utc(if(version = 0, ordered_at + interval 1 minute, updated_at)) as updated_at
        from (
            select *, unnest(case when order_no % 211 = 7 then [1, 1] when order_no % 29 = 0 then [0, 1] else [1] end)
                as version
            from orders
        )
        order by updated_at::date, hash(order_no), version""",
    "shop/order_items": """
        select order_id(order_no) as order_id, line::int as line_number, product_id, quantity, unit_price
        from items order by order_no, line""",
    "shop/refunds": """
        with refunds as (
            select order_no, refund_day(order_no, ordered_at) as refunded_at, (case when u(order_no, 'full') < 0.45
                then gross - discount else round((gross - discount) * (0.2 + 0.6 * u(order_no, 'part')), 2) end
                )::decimal(18, 2) as amount
            from orders
            where status in ('delivered', 'completed') and gross > discount
                and (u(order_no, 'refund') < 0.06 or order_no % 1999 = 17)
        )
        select 'R' || lpad(order_no::varchar, 8, '0') as refund_id, order_id(order_no) as order_id, refunded_at, amount
        from (select *, unnest(range(if(order_no % 53 = 1, 2, 1))) as copy from refunds)
        where refunded_at <= as_of() or order_no % 1999 = 17
        order by refunded_at, order_no""",
    "shop/products": """
        select product_id, product_name, category, brand, replacement_cycle_days from products order by product_id""",
    "shop/referrals": """
        select 'F' || lpad(n::varchar, 7, '0') as referral_id, * exclude (n)
        from (
            select p.no as n, r.referrer as referrer_customer_id, p.email as referee_email,
                utc(p.created_at - to_seconds(3600 + floor(800000 * u(p.no, 'invited')))) as invited_at,
                utc(p.created_at) as signed_up_at
            from referred as r inner join people as p using (no) where p.email is not null
            union all
            select 5000000 + no, customer_id, 'friend' || no || '@example.net', utc(later(first_order_at, no, 'invites', 60)),
                null
            from people
            where kind = 'registered' and is_buyer and u(no, 'invites') < 0.06
                and later(first_order_at, no, 'invites', 60) < gone_at
        )
        order by n""",
    "shop/feedback": """
        select 'K' || lpad(order_no::varchar, 8, '0') as feedback_id, customer_id, kind, score::int as score,
            berlin(submitted_at) as submitted_at
        from (
            select order_no, customer_id, case when u(order_no, 'feedback') < 0.05 then 'csat'
                    when u(order_no, 'feedback') < 0.08 then 'review' else 'nps' end as kind,
                case when kind <> 'nps' then pick([5, 5, 5, 5, 4, 4, 4, 3, 2, 1], order_no, 'stars')
                    else least(10, pick([10, 9, 9, 8, 8, 8, 7, 7, 6, 5, 3, 0], order_no, 'nps')
                        + (weekly_orders > 0.3)::int) end as score,
                later(ordered_at + interval 1 day, order_no, 'feedback time', 6) as submitted_at
            from orders where signed_in and u(order_no, 'feedback') < 0.13
        )
        where submitted_at < end_at() order by order_no""",
    "app/users": """
        select user_id, customer_id, email, city as default_city, region as default_region, country as default_country,
            utc(created_at) as created_at
        from app_users order by user_id""",
    "app/events": """
        select event_id, user_id, session_id, event_name, occurred_at, platform,
            case when event_name in ('location_searched', 'location_added') then a_city(k)
                when event_name in ('app_opened', 'feature_used') then city end as city,
            case when event_name in ('product_added_to_cart', 'checkout_started') then coalesce(product_id, product(session_no))
                when event_name <> 'product_viewed' then null
                when u(k, 'wanted') < 0.4 then coalesce(product_id, product(session_no)) else product(k) end as product_id
        from (
            select *, session_id || '-' || i as event_id, utc(if(session_no = 500 and i = 0, timestamp '2099-01-01',
                    if(session_no % 4001 = 7, end_at() + interval 9 hour, started_at)
                    + to_seconds(i * 30 + floor(25 * u(k, 'second'))))) as occurred_at,
                case when i = 0 then 'app_opened'
                    when kind = 'onboarding' then if(i = length - 1, 'location_added', 'onboarding_step_completed')
                    when tail = 2 and i = length - 1 then 'checkout_started'
                    when tail > 0 and i = length - tail then 'product_added_to_cart'
                    when u(k, 'odd') < 0.003 then 'widget_resized'
                    when kind = 'weather' then pick(['screen_viewed', 'screen_viewed', 'screen_viewed', 'screen_viewed',
                        'location_searched', 'location_searched', 'feature_used', 'feature_used', 'feature_used',
                        if(u(k, 'keep') < 0.3, 'location_added', 'location_searched')], k, 'name')
                    else pick(['product_viewed', 'product_viewed', 'product_viewed', 'screen_viewed', 'feature_used'],
                        k, 'name') end as event_name
            from (
                select *, session_no * 64 + i as k
                from (
                    select *, 's' || lpad(session_no::varchar, 8, '0') as session_id,
                        pick(['ios', 'ios', 'android', 'android', 'web'], no, 'platform') as platform,
                        unnest(if(session_no % 307 = 3, list_append(range(length), length - 1), range(length))) as i
                    from sessions
                )
            )
        )
        order by session_no, i""",
    "esp/contacts": """
        select contact_id(no) as contact_id, email, if(kind = 'registered' and u(no, 'linked') < 0.9, customer_id, null)
            as customer_id, utc(created_at) as created_at
        from contacts order by no""",
    "esp/consents": """
        with said as (
            select no, email, 'email' as channel, if(opts_in, 'opted_in', 'opted_out') as status,
                if(kind = 'registered', 'signup_form', 'newsletter_form') as source, opted_in_at as changed_at
            from contacts where opts_in or u(no, 'silent') < 0.5
            union all by name
            select no, email, 'email', unnest(if(no % 23 = 1, ['opted_out', 'opted_in'], ['opted_out'])) as status,
                'preference_center' as source, left_at as changed_at
            from contacts where left_at is not null
            union all by name
            select no, email, 'email' as channel, 'opted_in' as status, 'checkout' as source, returned_at as changed_at
            from contacts where returned_at is not null
            union all by name
            select no, email, 'email' as channel, 'opted_out' as status, 'unsubscribe_link' as source,
                unsubscribed_at as changed_at
            from messages where unsubscribed_at is not null
            union all by name
            select no, email, 'email' as channel, if(no % 2 = 0, 'opted_out', 'opted_in') as status,
                'preference_center' as source, end_at() + to_hours(7 + no % 90) as changed_at
            from contacts where no % 149 = 4
            union all by name
            select no, email, 'ads' as channel, unnest(['opted_in', 'opted_out']) as status, 'cookie_banner' as source,
                unnest([created_at, later(created_at, no, 'ads out', 900)]) as changed_at
            from contacts where u(no, 'ads') < 0.45
            union all by name
            select no, phone, 'sms' as channel, unnest(['opted_in', 'opted_out']) as status, 'checkout' as source,
                unnest([created_at, later(created_at, no, 'sms out', 1500)]) as changed_at
            from people where phone is not null and u(no, 'sms') < 0.45
            union all by name
            select no, user_id, 'push' as channel, unnest(['opted_in', 'opted_out']) as status, 'app_settings' as source,
                unnest([created_at, later(created_at, no, 'push out', 1500)]) as changed_at
            from app_users where u(no, 'push') < 0.65
        )
        select if(u(no, 'consent case') < 0.08, messy(email, no, 'consent'), email) as email, phone, user_id, channel,
            status, source, utc(changed_at) as changed_at
        from said
        where changed_at < end_at() or source = 'preference_center'
        order by changed_at::date, hash(no), channel, changed_at, status, source""",
    "esp/suppressions": """
        with stopped as (
            select no, email, 'email' as channel, 'complaint' as reason, complained_at as suppressed_at
            from messages where complained_at is not null
            union all by name
            select no, email, 'email' as channel, 'hard_bounce' as reason, bounced_at as suppressed_at
            from messages where is_hard
            union all by name
            select no, email, 'unsubscribed' as reason, blocked_at as suppressed_at
            from contacts where blocked_at is not null
            union all by name
            select no, email, 'erased' as reason, deleted_at + interval 1 day as suppressed_at
            from people where deleted_at is not null and email is not null and no // 127 % 2 = 1
            union all by name
            select no, user_id, 'erased' as reason, end_at() - interval 20 day as suppressed_at
            from app_users where no = (select min(no) from app_users where kind = 'app_only')
            union all by name
            select no, phone, 'sms' as channel, 'unsubscribed' as reason, gone_at - interval 9 day as suppressed_at
            from people where phone is not null and no % 151 = 3
        )
        select email, phone, user_id, channel, reason, utc(suppressed_at) as suppressed_at
        from stopped order by no, suppressed_at, reason""",
    "esp/campaigns": """
        select campaign_id, campaign_name, stage, channel, activity, campaign_type, is_always_on, goal_metric,
            cost::decimal(18, 2) as cost, currency, started_at, ended_at
        from (
            select *, first_day() + (span * from_share)::int as started_at, first_day() + (span * to_share)::int as ended_at
            from (select *, as_of() - first_day() as span from (values
                ('CMP-01', 'Welcome, three mails', 'act', 'email', 'welcome_series', 'triggered', true, 'first_orders',
                    2400, 'EUR', 0, null),
                ('CMP-02', 'Monthly trail letter', 'engage', 'email', 'newsletter', 'broadcast', true, 'clicks',
                    5200, 'EUR', 0, null),
                ('CMP-03', 'Black week', 'convert', 'email', 'seasonal_sale', 'broadcast', false, 'orders',
                    1800, 'EUR', 0.2, 0.95),
                ('CMP-04', 'Spring on the trail', 'convert', 'email', 'seasonal_sale', 'broadcast', false, 'orders',
                    1500, 'EUR', 0.1, 0.9),
                ('CMP-05', 'You left something behind', 'convert', 'email', 'abandoned_cart_email', 'triggered', true,
                    'orders', 900, 'EUR', 0, null),
                ('CMP-06', 'How was it?', 'engage', 'email', 'review_request', 'triggered', true, 'feedback',
                    600, 'EUR', 0, null),
                ('CMP-07', 'Running low?', 'engage', 'email', 'replenishment_reminder', 'triggered', true, 'repeat_orders',
                    700, 'EUR', 0, null),
                ('CMP-08', 'We miss you', 'engage', 'email', 'win_back', 'triggered', true, 'reactivated_customers',
                    1100, 'EUR', 0.1, null),
                ('CMP-09', 'Display retargeting', 'convert', 'ads', 'display_retargeting', 'triggered', true, 'orders',
                    14500, 'EUR', 0.05, null),
                ('CMP-10', 'Search ads', 'reach', 'ads', 'paid_search', 'triggered', true, 'visits', 38000, 'EUR', 0, null),
                ('CMP-11', 'Social prospecting US', 'reach', 'ads', 'social_ads', 'broadcast', false, 'sign_ups',
                    9800, 'USD', 0.4, 0.7),
                ('CMP-12', 'Storm warning', 'act', 'push', 'weather_alert', 'triggered', true, 'active_users',
                    300, 'EUR', 0, null),
                ('CMP-13', 'Pickup reminder', 'engage', 'sms', 'pickup_reminder', 'triggered', true, 'pickups',
                    1250, 'GBP', 0.3, null),
                ('CMP-14', 'Winter catalogue', 'engage', 'direct_mail', 'catalogue', 'broadcast', false, 'repeat_orders',
                    7600, 'EUR', 0.6, 0.65)
            ) as t(campaign_id, campaign_name, stage, channel, activity, campaign_type, is_always_on, goal_metric, cost,
                currency, from_share, to_share))
        )
        order by campaign_id""",
    "esp/messages": """
        select 'm' || lpad(m::varchar, 9, '0') as message_id, campaign_id, email, utc(sent_at) as sent_at,
            utc(delivered_at) as delivered_at, utc(opened_at) as opened_at, utc(clicked_at) as clicked_at,
            utc(bounced_at) as bounced_at, utc(unsubscribed_at) as unsubscribed_at, utc(complained_at) as complained_at
        from messages order by m""",
}


def whole(text):
    """A whole number, for argparse."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number")
    return int(text)


def date(text):
    """An ISO date, for argparse."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a date like 2026-01-31") from None


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message):
        self.exit(2, f"{self.prog}: {message}\n")


def arguments():
    """The checked command line."""
    parser = Parser(description="Make demo raw data of a shop, an app and an ESP.")
    yesterday = dt.date.today() - dt.timedelta(days=1)
    parser.add_argument("--customers", type=whole, default=2000, help="registered customers, default %(default)s")
    parser.add_argument("--as-of", type=date, default=yesterday, help="last complete day, default yesterday")
    parser.add_argument("--years", type=whole, default=3, help="length of the history, default %(default)s")
    parser.add_argument("--out", type=Path, default=Path("data/demo"), help="folder, default %(default)s")
    parser.add_argument("--seed", type=whole, default=42, help="another seed, other people; default %(default)s")
    args = parser.parse_args()
    if not 100 <= args.customers <= 5_000_000:
        parser.error("--customers must be between 100 and 5000000")
    if not 1 <= args.years <= 15:
        parser.error("--years must be between 1 and 15")
    if not 2000 <= args.as_of.year <= 2090:
        parser.error("--as-of must be between 2000 and 2090")
    if foreign := not_ours(args.out):
        parser.error(f"--out {args.out} is not a folder of demo data, nothing was changed (it has {foreign})")
    return args


def not_ours(out):
    """What in `out` this script did not make, if anything."""
    if not out.exists():
        return None
    if not out.is_dir():
        return "a file in its place"
    ours = {MARKER, *(f"{table}.parquet" for table in TABLES)}
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if not path.is_dir()}
    strangers = sorted(files - ours) or (sorted(files) if files and MARKER not in files else [])
    return strangers[0] if strangers else None


def generate(args, folder):
    """Write all tables into `folder`; returns the number of rows."""
    con = duckdb.connect(config={"temp_directory": str(folder / "spill")})
    first_day = args.as_of - dt.timedelta(days=round(365.25 * args.years))
    first_day -= dt.timedelta(days=first_day.weekday())
    for name, value in {"products": PRODUCTS, "places": PLACES, "names": NAMES}.items():
        con.execute(f"set variable {name} = '" + value.replace("'", "''") + "'")
    con.execute(f"""
        create macro product_count() as {PRODUCTS.count("=")};
        create macro seed() as {args.seed};
        create macro size() as {args.customers};
        create macro as_of() as date '{args.as_of}';
        create macro first_day() as date '{first_day}';
        {MACROS}""")
    for name, query in SHARED.items():
        con.execute(f"create table {name} as {query}")
    con.execute("set variable cities = (select list(city order by slot) from places)")
    total = 0
    for table, query in TABLES.items():
        start, path = time.monotonic(), folder / f"{table}.parquet"
        path.parent.mkdir(exist_ok=True)
        rows = con.execute(f"copy ({query}) to '{path}' (format parquet, compression zstd)").fetchone()[0]
        print(f"{table:<18} {rows:>12,} rows  {time.monotonic() - start:6.1f} s", flush=True)
        total += rows
    con.close()
    return total


def main():
    """Generate beside --out, then swap the folders, so that --out is always whole."""
    args, start = arguments(), time.monotonic()
    out = args.out.absolute()
    staging, old = (out.with_name(f".{out.name}.{word}-{os.getpid()}") for word in ("new", "old"))
    try:
        staging.mkdir(parents=True)
        total = generate(args, staging)
        shutil.rmtree(staging / "spill", ignore_errors=True)
        (staging / MARKER).write_text("Made by scripts/generate_demo_data.py, which may replace this folder.\n")
        if out.exists():
            out.rename(old)
        staging.rename(out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    seconds = time.monotonic() - start
    print(f"{args.out}: {len(TABLES)} tables, {total:,} rows, {args.customers:,} customers, as of {args.as_of}, {seconds:.1f} s")


if __name__ == "__main__":
    sys.exit(main())
