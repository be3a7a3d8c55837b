"""Make the demo: raw Parquet files of a shop, an app and an e-mail service (ESP), untidy as real ones.

A mid-size outdoor-and-coffee shop with a weather app. Writes `<out>/<system>/<table>.parquet`. Same arguments
and same DuckDB version, same bytes: all chance is a hash of (seed, entity, purpose), never `random()`.
People, products and addresses are invented. Mail domains are the reserved example.com, .net and .org.
Telephone numbers are from the ranges that DE, FR, GB and US reserve for fiction: customers elsewhere have
none, and above some thousands of customers they repeat.

How people behave: sign-ups grow over the years and follow the season; about half of the customers ever buy.
A buyer has a gamma-distributed rate (so counts are negative binomial), an exponential lifetime (some never
return), perhaps a long pause in it, and a taste for dear or cheap products. App visits have rates and
lifetimes of their own; most web and app orders of app users end a session. Newcomers drop out of the onboarding step
by step, some go on at a later visit; most use few features, the same ones; some wish for products; some have a widget
on the phone, which they look at in their own hour. Messages go only to addresses that
are opted in at that moment.

A known effect: 75 days before --as-of two audiences were drawn, with people held out. Of the lapsed, 15 in 100 of
those not held out order once more within 30 days than they would have; the at-risk got nothing that matters (A/A).
--state writes who was drawn, as scripts/record_state.py would have, for the mart campaign_results to find out.

The mess, on purpose:
- exact duplicate rows in customers, orders, refunds and events
- newer versions of a key, with a later updated_at: orders change status, customers move
- guest checkouts: no customer_id; a customer's e-mail in other case or padding, an unknown one, or none
- one person with two accounts: same e-mail in other case, or an app user with one's id and the other's e-mail
- a reception desk's address on more than ten accounts; people without e-mail, without orders, without app
- cancelled orders, also spelled 'Canceled'; unknown status 'on_hold'; test orders; zero-value orders
- refunds weeks later, partial and full, some after --as-of
- ordered_at is text: with offset, with Z, or (in stores) without either. What has no zone is Berlin wall
  clock, also in customers, refunds (a bare date), feedback and subscriptions; all other times are UTC instants
- rows out of order, late (updated_at weeks after ordered_at), after --as-of, and one event in 2099
- orders and subscriptions in EUR, USD, GBP, CHF, and a few in XXX, for which there is no exchange rate
- subscriptions by the fortnight, at a price below 0, or cancelled before they started; repeated rows; some end after --as-of
- untypable gross_amount 'n/a' and ordered_at 'not available'; null order_id; null customer_id in customers
- unknown event 'widget_resized'; consents opted in and out at the same moment, or changed after --as-of;
  e-mails of orders and consents in other case or padding than the customer's
"""

import argparse
import datetime as dt
import os
import shutil
import sys
from pathlib import Path
from time import monotonic

import duckdb

from common import private

MARKER = ".demo_data"  # says that a folder was made by this script, and may be replaced by it

# country | region | city | language | time zone | hours from UTC in winter | currency | percent of people
PLACES = """
DE|Berlin|Berlin|de|Europe/Berlin|1|EUR|10
DE|Bayern|München|de|Europe/Berlin|1|EUR|9
DE|Hamburg|Hamburg|de|Europe/Berlin|1|EUR|6
DE|Nordrhein-Westfalen|Köln|de|Europe/Berlin|1|EUR|7
DE|Sachsen|Leipzig|de|Europe/Berlin|1|EUR|4
DE|Baden-Württemberg|Freiburg|de|Europe/Berlin|1|EUR|4
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
Coffee|Harbour Roast||Morning Blend 250 g=7.9;Morning Blend 1 kg=24.9;Decaf 250 g=8.5;Single Origin 250 g=11.9
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

# percent of people | first names | last names
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
    ((hash(xor(hash(k::bigint), hash(purpose || '/' || seed()))) >> 11)::double + 0.5e0) / 9007199254740992e0;
create macro expo(k, purpose) as -ln(u(k, purpose));
create macro normal(k, purpose) as sqrt(2 * expo(k, purpose)) * cos(2 * pi() * u(k, purpose || ' angle'));
create macro arrivals(k, purpose, mean) as floor(ln(u(k, purpose)) / ln(mean / (1 + mean)))::int;
create macro pick(list, k, purpose) as list[1 + floor(len(list) * u(k, purpose))::int];
create macro word(words, k, purpose) as pick(string_split(words, ' '), k, purpose);
create macro nth(words, n) as string_split(words, ' ')[1 + n % len(string_split(words, ' '))];
create macro seconds(n) as to_seconds(floor(n)::bigint);
create macro later(ts, k, purpose, days) as ts + seconds(86400 * days * expo(k, purpose));
create macro clock(k, purpose, utc_offset) as
    seconds(3600 * (7 - utc_offset + 7.5 * (u(k, purpose || ' hour') + u(k, purpose || ' minute'))));
create macro end_at() as as_of() + interval 22 hour;  -- before midnight in Berlin and in UTC
create macro drawn_on() as as_of() - 75;
create macro span() as as_of() - first_day();
create macro week_of(ts) as (ts::date - first_day()) // 7;
create macro week_start(week) as first_day() + (7 * week)::int;
create macro week_day(k, purpose) as
    pick([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 5, 6, 6, 6], k, purpose);
create macro season(d) as
    [0.9, 0.85, 1.0, 1.05, 1.1, 0.95, 0.75, 0.75, 0.95, 1.0, 1.35, 1.75][month(d::date)];
create macro utc(ts) as ts at time zone 'UTC';
create macro wall_clock(ts, zone) as utc(ts) at time zone zone;
create macro berlin(ts) as wall_clock(ts, 'Europe/Berlin');
create macro with_offset(ts, there) as strftime(there, '%Y-%m-%dT%H:%M:%S') || if(there < ts, '-', '+')
    || lpad(abs(datediff('hour', ts, there))::varchar, 2, '0') || ':00';
create macro number(letter, n, digits) as letter || lpad(n::varchar, digits, '0');
create macro product_rank(k, taste) as floor(product_count() * pow(u(k, 'product'), taste));
create macro fx(currency) as case currency when 'USD' then 1.1 when 'GBP' then 0.87 when 'CHF' then 0.96
    else 1 end;
create macro messy(email, k, purpose) as
    pick([upper(email), ' ' || email || '  ', upper(email[1]) || email[2:]], k, purpose);
create macro city_of(place) as getvariable('cities')[1 + place::int];
create macro lines(txt) as table
    select row_number() over () as n, string_split(line, '|') as c
    from (select unnest(string_split(trim(txt, chr(10)), chr(10))) as line);
"""

# Tables that the raw tables share, in this order. Times in them are UTC without zone.
SHARED = {
    "days": """
    select day, (sum(weight) over (order by day) - weight) / sum(weight) over () as p
    from (
        select day, (1000 * season(day) * (1 + 2 * (day - first_day()) / span()))::bigint as weight
        from (select unnest(generate_series(first_day(), as_of(), interval 1 day))::date as day)
    )""",
    "products": """
    select *, row_number() over (order by price, product_id) - 1 as price_rank
    from (
        select number('P', row_number() over (order by n, i), 3) as product_id, c[1] as category,
            c[2] as brand, c[2] || ' ' || split_part(item, '=', 1) as product_name,
            split_part(item, '=', 2)::double as price, try_cast(c[3] as integer) as replacement_cycle_days
        from (
            select n, c, unnest(items) as item, generate_subscripts(items, 1) as i
            from (select *, string_split(c[4], ';') as items from lines(getvariable('products')))
        )
    )""",
    "places": """
    select row_number() over (order by n, i) - 1 as place, c[1] as country, c[2] as region, c[3] as city,
        c[4] as language, c[5] as time_zone, c[6]::int as utc_offset, c[7] as currency
    from (select *, unnest(range(c[8]::int)) as i from lines(getvariable('places')))""",
    "names": """
    select row_number() over (order by n, i) - 1 as slot, string_split(c[2], ';') as firsts,
        string_split(c[3], ';') as lasts
    from (select *, unnest(range(c[1]::int)) as i from lines(getvariable('names')))""",
    # `who` is the human behind an account: every 97th account is the second one of the human before
    "people": """
    with accounts as (
        select no, case when no <= size() then 'registered' when no <= 1.15 * size() then 'guest'
                when no <= 1.2 * size() then 'subscriber' else 'app_only' end as kind,
            if(kind = 'registered' and no % 97 = 0, no - 1, no) as who,
            kind = 'registered' and no % (size() // 14) = 3 as at_reception,
            if(kind = 'registered', no - u(no, 'day'), u(no, 'day') * size()) / size() as p
        from range(1, (1.28 * size())::bigint + 1) as t(no)
    ),
    dated as (
        select a.* exclude (p), d.day + clock(no, 'sign-up', 1) as created_at, end_at() - created_at as age
        from accounts as a asof join days as d on a.p >= d.p
    ),
    described as (
        select d.*, l.*, number('C', no, 7) as customer_id,
            pick(n.firsts, who, 'first') as first_name, pick(n.lasts, who, 'last') as last_name,
            if(kind = 'registered' and no % 127 = 0 and age > interval 90 day,
                created_at + seconds(epoch(age) * (0.5 + u(no, 'deleted') / 2)), null) as deleted_at,
            kind = 'guest' or kind = 'registered' and u(no, 'buys') < 0.53 as is_buyer,
            kind = 'app_only' or kind = 'registered' and u(no, 'app') < 0.6 as has_app,
            expo(no, 'rate') * if(kind = 'guest', 0.01, 0.2) as weekly_orders,
            if(u(no, 'never back') < 0.32, 0, 4 + expo(no, 'life') * 100) as life,
            if(life > 0 and u(no, 'pauses') < 0.15, 24 + floor(28 * u(no, 'pause'))::int, 0) as pause,
            1.5 * exp(0.4 * normal(who, 'taste')) as taste,
            if(u(no, 'first order') < 0.7, created_at + seconds(60 + 2000 * u(no, 'first')),
                later(created_at, no, 'first', 20)) as first_order_at
        from dated as d
        inner join places as l on l.place = floor(100 * u(who, 'place'))
        inner join names as n on n.slot = floor(100 * u(who, 'name'))
    )
    select *, least(end_at(), deleted_at) as gone_at, week_of(first_order_at) as first_week,
        least(first_week + floor(life + pause)::int, week_of(gone_at)) as last_week,
        case when kind = 'app_only' or kind = 'registered' and u(who, 'no e-mail') < 0.02 then null
            when at_reception then 'reception@river-offices.example.com'
            else coalesce(nullif(regexp_replace(translate(lower(strip_accents(first_name)), 'łøß', 'los'),
                '[^a-z]', '', 'g'), ''), 'hello') || pick(['.', '_', ''], who, 'dot') || who || '@example.'
                || word('com com net org', who, 'domain') end as email,
        if(kind = 'registered' and u(who, 'phone') < 0.7, case country
            when 'DE' then number(nth('+493023125 +496990009 +494066969 +492214710 +498999998', who // 1000),
                who % 1000, 3)
            when 'FR' then number(nth('+3363998 +3319900 +3326191 +3335301', who // 10000), who % 10000, 4)
            when 'GB' then number(nth('+447700900 +442079460 +441314960 +441614960', who // 1000),
                who % 1000, 3)
            when 'US' then number('+1' || nth('212 303 206 312 415 617 503 702 720', who // 100) || '55501',
                who % 100, 2)
            end, null) as phone
    from described""",
    "app_users": """
    select a.* replace (coalesce(other.email, a.email) as email), number('u', a.no, 7) as user_id
    from (
        select no, kind, who, email, place, city, region, country, utc_offset, gone_at,
            if(kind <> 'app_only' and (no % 89 = 0 or u(no, 'id') < 0.7), customer_id, null) as customer_id,
            if(kind = 'app_only' or u(no, 'app at once') < 0.6, p.created_at + interval 4 minute,
                later(p.created_at, no, 'app', 50)) as created_at
        from people as p where has_app
    ) as a
    left join people as other on a.kind = 'registered' and a.no % 89 = 0 and other.no = a.no - 1
    where a.created_at < a.gone_at - interval 1 day""",
    "natural_purchases": """
    with weeks as (
        select *, unnest(range(first_week, last_week + 1)) as week,
            first_week + 4 + floor(10 * expo(no, 'pause from'))::int as pause_from
        from people where is_buyer
    ),
    moments as (
        select no, first_order_at as ordered_at from people where is_buyer
        union all
        select no, week_start(week) + week_day(k, 'weekday') + clock(k, 'order', utc_offset)
        from (
            select no, week, utc_offset, (no * 1000 + week) * 100 + unnest(range(least(50,
                arrivals(no * 1000 + week, 'orders', weekly_orders * season(week_start(week)))))) as k
            from weeks where life > 0 and (pause = 0 or week not between pause_from and pause_from + pause)
        )
    ),
    numbered as (
        select row_number() over (order by ordered_at, no) as order_no, no, ordered_at
        from moments inner join people using (no) where ordered_at >= first_order_at and ordered_at < gone_at
    )
    select order_no, no, kind, customer_id, email, currency, time_zone, has_app, taste, weekly_orders,
        if(order_no % 1499 = 11, end_at() + to_hours(5 + order_no % 60), ordered_at) as ordered_at,
        if(has_app, word('web web web app app app store phone', order_no, 'channel'),
            word('web web web web web store store phone', order_no, 'channel')) as channel
    from numbered inner join people using (no)""",
    # the two audiences of `drawn_on`: people whom nothing but their account identifies
    "drawn": """
    select no, customer_id, audience, share, u(no, audience || ' holdout') < share as is_holdout
    from (
        select no, customer_id, unnest(['lapsed', 'at_risk']) as audience, unnest([0.2, 0.5]) as share,
            unnest([date '1900-01-01', drawn_on() - 110]) as after, unnest([drawn_on() - 130, drawn_on() - 50]) as until
        from people
        where kind = 'registered' and who = no and not at_reception and no % 601 > 0
            and gone_at::date > drawn_on() + 30
    )
    inner join (
        select no, max(ordered_at)::date as last_order from natural_purchases where ordered_at <= drawn_on() group by no
    ) using (no)
    where last_order > after and last_order <= until""",
    "purchases": """
    select * from natural_purchases
    union all by name
    select (select max(order_no) from natural_purchases) + row_number() over (order by no) as order_no, no, kind,
        customer_id, email, currency, time_zone, has_app, taste, weekly_orders,
        drawn_on() + (2 + floor(27 * u(no, 'effect day')))::int + clock(no, 'effect', utc_offset) as ordered_at,
        'web' as channel
    from drawn inner join people using (no, customer_id)
    where audience = 'lapsed' and not is_holdout and u(no, 'effect') < 0.15""",
    "items": """
    select order_no, line, product_id,
        pick(if(price < 20, [1, 1, 1, 2, 2, 3, 4], [1, 1, 1, 1, 1, 1, 2]), k, 'quantity') as quantity,
        if(order_no % 173 = 1, 0, round(price * fx(currency) * rise, 1) - 0.05)::decimal(18, 2) as unit_price
    from (
        select *, order_no * 10 + line as k, product_rank(k, taste) as price_rank
        from (
            select order_no, currency, taste, 1 + 0.03 * (year(ordered_at) - year(first_day())) as rise,
                unnest(range(1, 2 + least(7, arrivals(order_no, 'lines', 1.3)))) as line
            from purchases
        )
    ) inner join products using (price_rank)""",
    "orders": """
    select o.*, gross, first_product, if(order_no % 1499 = 5, 'XXX', currency) as paid_in,
        (gross * if(u(order_no, 'discount') < 0.15, pick([0.05, 0.1, 0.1, 0.15, 0.2], order_no, 'percent'), 0)
            )::decimal(18, 2) as discount,
        case when u(order_no, 'cancelled') < 0.04 then word('cancelled cancelled Canceled', order_no, 'l')
            when order_no % 997 = 5 then 'on_hold'
            when ordered_at > end_at() - interval 3 day then 'processing'
            when channel = 'store' then 'completed' else 'delivered' end as status,
        greatest(ordered_at, least(end_at(), later(ordered_at, order_no, 'update',
            case when order_no % 101 = 0 then 40 when channel = 'store' then 0.01 else 2 end))) as updated_at,
        kind <> 'guest' and (u(order_no, 'guest') > 0.03 or channel = 'store' or email is null) as signed_in
    from purchases as o
    inner join (
        select order_no, sum(quantity * unit_price)::decimal(18, 2) as gross,
            min_by(product_id, line) as first_product
        from items group by order_no
    ) using (order_no)""",
    # tail: 2 ends in a checkout, 1 in a filled cart, 0 in neither
    "sessions": """
    with visits as (
        select no, utc_offset, week, (no * 1000 + week) * 100 + unnest(range(least(99, arrivals(
            no * 1000 + week, 'visits', rate * (0.5 + season(week_start(week)) / 2))))) as k
        from (
            select no, utc_offset, 0.36 * expo(no, 'visit rate') as rate, week_of(created_at) as joined,
                joined + floor(45 * expo(no, 'app life'))::int as left_off,
                unnest(range(joined, least(week_of(gone_at), left_off) + 1)) as week
            from app_users
        )
    ),
    timed as (
        select no, k, if(u(k, 'kind') < 0.55, 'weather', 'shop') as kind,
            week_start(week) + week_day(k, 'visit day') + clock(k, 'visit', utc_offset) as started_at,
            if(kind = 'weather' or u(k, 'tail') > 0.2, 0, if(u(k, 'tail') > 0.06, 1, 2)) as tail,
            2 + tail + least(30, arrivals(k, 'length', if(kind = 'weather', 2.5, 5))) as length
        from visits
        union all by name
        select no, -no as k, 'onboarding' as kind, created_at as started_at, 0 as tail,
            3 + floor(4 * u(no, 'steps'))::int as length
        from app_users
        union all by name
        select no, -1000000000 - order_no as k, 'order' as kind, 2 as tail,
            4 + least(20, arrivals(order_no, 'length', 4)) as length,
            ordered_at - to_seconds(60 + 30 * length) as started_at, first_product as product_id
        from orders
        where has_app and signed_in and channel in ('web', 'app') and u(order_no, 'seen') < 0.92
            and ordered_at < end_at()
    )
    select t.* exclude (k), place, utc_offset, gone_at, row_number() over (order by (started_at
        + seconds(if(u(k, 'late') < 0.03, 432000 * u(k, 'delay'), 0)))::date, hash(k), k) as session_no,
        row_number() over (partition by no order by started_at, k) as visit
    from timed as t inner join app_users as a using (no)
    where started_at >= created_at and started_at < gone_at - interval 1 hour""",
    # a contact opts in at sign-up, leaves or not, returns or not; a spell is a time in which mail may be sent
    "contacts": """
    select *, if(u(no, 'leaves') < 0.3, later(opted_in_at, no, 'leaving', 400), null) as would_leave,
        if(opts_in and would_leave < stopped_at, would_leave, null) as left_at,
        if(u(no, 'returns') < 0.25, later(left_at, no, 'returning', 60), null) as would_return,
        if(would_return < stopped_at, would_return, null) as returned_at
    from (
        select no, kind, customer_id, email, created_at, u(no, 'opts in') < 0.85 as opts_in,
            created_at + seconds(600 * u(no, 'opt in')) as opted_in_at,
            if(no % 331 = 2, created_at + seconds(epoch(age) / 2), null) as blocked_at,
            least(gone_at, blocked_at) as stopped_at
        from people
        where email is not null and who = no and not at_reception
            and (kind = 'subscriber' or u(no, 'contact') < if(kind = 'guest', 0.3, 0.9))
    )""",
    "spells": """
    select no, 1 as spell, opted_in_at as from_at, coalesce(left_at, stopped_at) as to_at
    from contacts where opts_in
    union all
    select no, 2, returned_at, stopped_at from contacts where returned_at is not null""",
    "broadcasts": """
    select *, row_number() over (order by sent_at, campaign_id) as n
    from (
        select 'CMP-02' as campaign_id, 0.8 as share, unnest(generate_series(
            date_trunc('month', first_day()) + to_hours(105), as_of(), interval 1 month)) as sent_at
        union all
        select unnest(['CMP-03', 'CMP-04']), 0.9,
            unnest([make_timestamp(y, 11, 24, 7, 0, 0), make_timestamp(y, 3, 21, 8, 30, 0)])
        from (select unnest(range(year(first_day()), year(as_of()) + 1)) as y)
    )
    where sent_at between first_day() and end_at()""",
    # CMP-07 fell silent half-way, though it is called always-on
    "messages": """
    with triggers as (
        select no, from_at + to_days(unnest([0, 3, 8])) + interval 1 hour as sent_at, 'CMP-01' as campaign_id
        from spells where spell = 1
        union all
        select no, started_at + interval 4 hour, 'CMP-05' from sessions where kind = 'shop' and tail > 0
        union all
        select no, ordered_at + interval 12 day, 'CMP-06' from orders where u(order_no, 'ask') < 0.6
        union all
        select no, ordered_at + interval 42 day, 'CMP-07' from orders
        where ordered_at < first_day() + (span() // 2)::int
        union all
        select no, max(ordered_at) + to_days(unnest([150, 171])), 'CMP-08' from orders group by no
    ),
    wanted as (
        select no, spell, sent_at, campaign_id
        from triggers inner join spells using (no) where sent_at >= from_at and sent_at < to_at
        union all
        select no, spell, sent_at + seconds(1800 * u(no, 'batch')), campaign_id
        from spells inner join broadcasts on sent_at >= from_at and sent_at < to_at - interval 30 minute
        where u(no * 1000 + n, 'targeted') < share
    ),
    sent as (
        select *, row_number() over (order by sent_at, no, campaign_id) as m
        from wanted where sent_at < end_at() - interval 1 hour
    ),
    delivered as (
        select *, u(m, 'fate') < 0.003 as is_hard,
            if(u(m, 'fate') < 0.01, sent_at + interval 20 second, null) as bounced_at,
            if(u(m, 'fate') < 0.01, null, sent_at + seconds(2 + 90 * u(m, 'delivery'))) as delivered_at
        from sent
    ),
    opened as (
        select *, if(u(m, 'open') < 0.06 + 0.6 * pow(u(no, 'attention'), 2),
                later(delivered_at, m, 'opened', 0.4), null) as opened_at
        from delivered
    ),
    fates as (
        select * replace (if(opened_at < end_at(), opened_at, null) as opened_at),
            if(u(m, 'click') < 0.15, opened_at + seconds(4 + 200 * u(m, 'clicked')), null) as clicked_at,
            if(u(m, 'leave') < 0.012, opened_at + seconds(9 + 600 * u(m, 'left')), null) as unsubscribed_at,
            if(u(m, 'complain') < 0.002, opened_at + interval 77 second, null) as complained_at
        from opened
    ),
    stops as (
        select no, min(unsubscribed_at) filter (spell = 1) as first_stop,
            min(unsubscribed_at) filter (spell = 2) as second_stop,
            min(coalesce(complained_at, if(is_hard, bounced_at, null))) as last_stop
        from fates where is_hard or unsubscribed_at is not null or complained_at is not null group by no
    )
    select f.*, email
    from fates as f inner join contacts using (no) left join stops using (no)
    where sent_at < coalesce(least(if(spell = 1, first_stop, second_stop), last_stop), end_at())""",
    "referred": """
    select c.no, b.customer_id as referrer
    from (
        select no, sum(is_buyer::int) over (order by no) - is_buyer::int as n
        from people where kind = 'registered'
    ) as c
    inner join (
        select customer_id, row_number() over (order by no) as n
        from people where kind = 'registered' and is_buyer
    ) as b on b.n = 1 + floor(c.n * u(c.no, 'referrer'))
    where c.n > 0 and u(c.no, 'referred') < 0.06""",
}

# The raw tables. Each is ordered, totally up to equal rows: so the bytes are the same, whatever the threads.
TABLES = {
    "shop/customers": """
    select if(no % 601 = 0, null, customer_id) as customer_id,
        if(who = no, email, messy(email, no, 'case')) as email, phone, first_name, last_name,
        coalesce(m.country, p.country) as country, coalesce(m.region, p.region) as region,
        coalesce(m.city, p.city) as city, p.language, coalesce(m.time_zone, p.time_zone) as time_zone,
        if(referrer is null, word('organic organic paid_search paid_search social affiliate store', no, 'by'),
            'referral') as acquisition_channel, referrer as referred_by_customer_id,
        berlin(created_at) as created_at,
        berlin(case when version = 0 then coalesce(deleted_at, created_at)
            when moved_at = coalesce(deleted_at, created_at) then moved_at + interval 1 second
            else moved_at end) as updated_at,
        berlin(deleted_at) as deleted_at
    from (
        select *, unnest(if(no % 199 = 7, [0, 0], if(no % 31 = 0, [0, 1], [0]))) as version,
            created_at + seconds(epoch(age) * u(no, 'move')) as moved_at
        from people where kind = 'registered'
    ) as p
    left join referred using (no)
    left join places as m on p.version = 1 and m.place = floor(100 * u(no, 'moved'))
    order by updated_at::date, hash(no), version""",
    "shop/orders": """
    select if(order_no % 1499 = 9, null, number('O', order_no, 8)) as order_id,
        if(signed_in, customer_id, null) as customer_id,
        case when kind = 'guest' and channel = 'store' and u(order_no, 'anonymous') < 0.4 then null
            when signed_in and u(order_no, 'e-mail') < 0.15 then null
            when not signed_in and u(order_no, 'e-mail') < 0.5 then messy(email, order_no, 'case')
            else email end as email,
        case when order_no % 1499 = 3 then 'not available'
            when channel = 'store' then strftime(berlin(ordered_at), '%Y-%m-%d %H:%M:%S')
            when u(order_no, 'zulu') < 0.1 then strftime(ordered_at, '%Y-%m-%dT%H:%M:%SZ')
            else with_offset(ordered_at, wall_clock(ordered_at, time_zone)) end as ordered_at,
        if(version = 0, 'processing', status) as status, paid_in as currency,
        if(order_no % 1499 = 7, 'n/a', gross::varchar) as gross_amount, discount::varchar as discount_amount,
        channel as order_channel,
        if(channel = 'store' or u(order_no, 'pickup') < 0.12, 'pickup', 'delivery') as fulfilment_channel,
        if(discount > 0 and u(order_no, 'coupon') < 0.8,
            word('HELLO10 TRAIL15 FRIENDS BEANS5 COMEBACK', order_no, 'code'), null) as coupon_code,
        u(order_no, 'test') < 0.004 as is_test,
        utc(case when version = 0 then o.ordered_at + interval 1 minute
            when order_no % 29 = 0 and o.updated_at = o.ordered_at + interval 1 minute then o.updated_at + interval 1 second
            else o.updated_at end) as updated_at
    from (
        select *, unnest(if(order_no % 211 = 7, [1, 1], if(order_no % 29 = 0, [0, 1], [1]))) as version
        from orders
    ) as o
    order by updated_at::date, hash(order_no), version""",
    "shop/order_items": """
    select number('O', order_no, 8) as order_id, line::int as line_number, product_id, quantity, unit_price
    from items order by order_no, line""",
    "shop/refunds": """
    select number('R', order_no, 8) as refund_id, number('O', order_no, 8) as order_id, refunded_at, amount
    from (
        select order_no, unnest(range(if(order_no % 53 = 1, 2, 1))) as copy,
            if(order_no % 1499 = 17, as_of() + 2 + (order_no % 9)::int,
                later(ordered_at + interval 3 day, order_no, 'refund', 14)::date) as refunded_at,
            if(u(order_no, 'full') < 0.45, gross - discount,
                round((gross - discount) * (0.2 + 0.6 * u(order_no, 'part')), 2))::decimal(18, 2) as amount
        from orders
        where status in ('delivered', 'completed') and gross > 0
            and (u(order_no, 'refunded') < 0.06 or order_no % 1499 = 17)
    )
    where refunded_at <= as_of() or order_no % 1499 = 17
    order by refunded_at, order_no""",
    "shop/products": """
    select product_id, product_name, category, brand, replacement_cycle_days
    from products order by product_id""",
    "shop/referrals": """
    select number('F', n, 8) as referral_id, * exclude (n)
    from (
        select no as n, referrer as referrer_customer_id, email as referee_email,
            utc(created_at - seconds(3600 + 800000 * u(no, 'invited'))) as invited_at,
            utc(created_at) as signed_up_at
        from referred inner join people using (no) where email is not null
        union all
        select 2 * size() + no, customer_id, 'friend' || no || '@example.net', utc(invited_at), null
        from (select *, later(first_order_at, no, 'invites', 60) as invited_at from people)
        where kind = 'registered' and is_buyer and u(no, 'invites') < 0.06 and invited_at < gone_at
    )
    order by n""",
    "shop/feedback": """
    select number('K', order_no, 8) as feedback_id, customer_id, feedback as kind, score::int as score,
        berlin(given_at) as submitted_at
    from (
        select *, later(ordered_at + interval 1 day, order_no, 'feedback time', 6) as given_at,
            case when chance < 0.05 then 'csat' when chance < 0.08 then 'review' else 'nps' end as feedback,
            if(feedback = 'nps', least(10, pick([10, 9, 9, 8, 8, 8, 7, 7, 6, 5, 3, 0], order_no, 'score')
                + (weekly_orders > 0.3)::int), pick([5, 5, 5, 5, 4, 4, 3, 2, 1], order_no, 'score')) as score
        from (select *, u(order_no, 'feedback') as chance from orders)
        where chance < 0.13 and signed_in and status in ('delivered', 'completed')
    )
    where given_at < end_at() order by order_no""",
    # a coffee club: from one subscription to the next, at once with another plan, or later, until one is the last
    "shop/subscriptions": """
    with members as (
        select no, customer_id, currency, gone_at, deleted_at, pick([0, 0, 0, 1, 1, 2], no, 'club plan') as plan,
            greatest(later(created_at, no, 'club', 90), later(first_day() + interval 60 day, no, 'club opens', 60)) as joined_at
        from people
        where kind = 'registered' and not at_reception -- and some whom the shop will erase
            and (u(no, 'joins the club') < if(is_buyer, 0.2, 0.06) or no % 508 = 127)
    ),
    steps as (
        select *, no * 10 + step as k, u(k, 'club trial') < if(step = 0, 0.6, 0.05) as has_trial,
            pick([14, 14, 30], k, 'trial days') as trial_days, has_trial and u(k, 'trial ends it') < 0.35 as ends_in_trial,
            if(ends_in_trial, trial_days * least(1, 0.2 + u(k, 'gives up')), 20 + 330 * expo(k, 'club life')) as days,
            case when ends_in_trial then if(u(k, 'tries again') < 0.1, 'again', 'last')
                else word('up up up down again again last last last last', k, 'club next') end as what_next,
            word('month month month month month month quarter year year week', k, 'club interval') as interval
        from (select *, unnest(range(4)) as step from members)
    ),
    timed as (
        select *, coalesce(sum(days + if(what_next = 'again', 15 + 80 * expo(k, 'club gap'), 0)) over before, 0) as after_days,
            coalesce(bool_or(what_next = 'last') over before, false) as is_over,
            greatest(0, least(2, plan
                + coalesce(sum((what_next = 'up')::int - (what_next = 'down')::int) over before, 0))) as rank
        from steps window before as (partition by no order by step rows between unbounded preceding and 1 preceding)
    ),
    dated as (
        select *, row_number() over (order by started_at, no) as n,
            if(has_trial, started_at + to_days(trial_days), null) as trial_ends_at,
            started_at + seconds(86400 * days) as ends_at,
            coalesce(trial_ends_at, started_at) as paid_from
        from (select *, joined_at + seconds(86400 * after_days) as started_at from timed where not is_over)
        where started_at < gone_at or (started_at < end_at() + interval 9 day and deleted_at is null)
    ),
    ended as (
        select *, if(ends_at < end_at() or n % 17 = 3 and ends_at < end_at() + interval 60 day or deleted_at is not null,
                least(ends_at, deleted_at), null) as cancelled_at,
            if(u(k, 'pauses club') < 0.07, paid_from + seconds(86400 * days * u(k, 'paused club')), null) as paused,
            if(paused < least(cancelled_at, end_at()) and (cancelled_at is null or u(k, 'never back') < 0.3), paused, null)
                as paused_at
        from dated
    )
    select number('S', n, 6) as subscription_id, customer_id, ['Club Small', 'Club Medium', 'Club Large'][1 + rank::int] as plan,
        case when cancelled_at < end_at() then 'cancelled' when paused_at is not null then 'paused'
            when trial_ends_at > end_at() then 'trialing' else 'active' end as status,
        (if(n % 151 = 9, -1, 1) * round([11.9, 19.9, 34.9][1 + rank::int] * fx(currency)
            * (1 + 0.03 * (year(started_at) - year(first_day())))
            * case interval when 'week' then 0.25 when 'quarter' then 2.85 when 'year' then 10 else 1 end, 1))::decimal(18, 2) as price,
        if(n % 151 = 13, 'XXX', currency) as currency, if(n % 151 = 5, 'fortnight', interval) as interval,
        berlin(trial_ends_at) as trial_ends_at, berlin(started_at) as started_at,
        if(renewals > 0, berlin(paid_from + to_days((step_days * renewals)::int)), null) as renewed_at,
        berlin(paused_at) as paused_at,
        if(n % 151 = 17, berlin(started_at) - interval 3 day, berlin(cancelled_at)) as cancelled_at
    from (
        select *, unnest(if(n % 101 = 2, [1, 1], [1])) as copy,
            case interval when 'week' then 7 when 'quarter' then 91 when 'year' then 365 else 30 end as step_days,
            datediff('second', paid_from, least(paused_at, cancelled_at, end_at())) // 86400 // step_days as renewals
        from ended
    )
    order by n""",
    "app/users": """
    select user_id, customer_id, email, city as default_city, region as default_region,
        country as default_country, utc(created_at) as created_at
    from app_users order by user_id""",
    # The sort carries numbers only, text is made after it: half the memory. From 60 on i is a look at the widget of the
    # home screen: no session, later on a day with one, at the person's own hour.
    "app/events": """
    select session_id || '-' || i as event_id, number('u', no, 7) as user_id, if(i < 60, session_id, null) as session_id,
        event_name,
        utc(if(session_no = 500 and i = 0, timestamp '2099-01-01',
            case when i >= 60 then glance_at + to_minutes((i - 60) * 9)
                when session_no % 4001 = 7 then end_at() + interval 9 hour + to_seconds(i * 30)
                else started_at + to_seconds(i * 30) end + to_seconds(floor(25 * u(k, 'second'))::int))) as occurred_at,
        platform,
        case when event_name like 'location%' then city_of(floor(100 * u(k, 'city')))
            when event_name in ('app_opened', 'feature_used') then city_of(place) end as city,
        case when event_name not in ('product_viewed', 'product_wished', 'product_added_to_cart', 'checkout_started') then null
            when event_name not in ('product_viewed', 'product_wished') or u(k, 'wanted') < 0.4
                then coalesce(product_id, number('P', 1 + product_rank(session_no, 1.4)::int, 3))
            else number('P', 1 + product_rank(k, 1.4)::int, 3) end as product_id,
        case when u(session_no, 'other device') < 0.12 then word('phone tablet', session_no, 'device')
            when platform = 'web' then 'desktop'
            else word('phone phone phone phone phone phone tablet', no, 'device') end as device,
        case when event_name = 'onboarding_step_completed' then
                nth('units_chosen location_allowed interests_chosen notifications_allowed', step - 1)
            when event_name <> 'feature_used' or u(no, 'old app') < 0.04 then null
            when i >= 60 then 'home_widget'
            when kind = 'weather' then nth('rain_radar rain_radar rain_radar trail_map trail_map wind_layer snow_report sunset',
                floor(8 * pow(u(k, 'feature'), 0.6 + 3 * u(no, 'curious')))::int)
            else nth('gear_checklist order_status gear_checklist coffee_finder size_adviser store_finder',
                floor(6 * pow(u(k, 'feature'), 0.6 + 3 * u(no, 'curious')))::int) end as detail
    from (
        select * replace (case when i >= 60 then 'feature_used'
                when event_name = 'onboarding_step_completed' and u(no * 8 + i, 'refuses') < if(i = 2, 0.2, 0.03)
                    then 'screen_viewed'
                when event_name not in ('screen_viewed', 'feature_used') then event_name
                when i = 1 and kind <> 'onboarding' and step <= 4 and u(no * 8 + step, 'goes on') < 0.4
                    then 'onboarding_step_completed'
                when event_name = 'screen_viewed' and kind <> 'weather' and u(no, 'wishes') < 0.45 and u(k, 'wishes') < 0.35
                    then 'product_wished'
                else event_name end as event_name)
        from (
            select *, session_no * 64 + i as k, number('s', session_no, 8) as session_id,
                word('ios ios android android web', no, 'platform') as platform,
                if(kind = 'onboarding', i, floor(4 * u(no, 'steps'))::int + visit) as step,
                case when i = 0 then 'app_opened'
                    when kind = 'onboarding' and i < length - 1 then 'onboarding_step_completed'
                    when kind = 'onboarding' then 'location_added'
                    when tail = 2 and i = length - 1 then 'checkout_started'
                    when tail > 0 and i = length - tail then 'product_added_to_cart'
                    when u(k, 'odd') < 0.003 then 'widget_resized'
                    when kind = 'weather' and u(k, 'odd') > 0.985 then 'location_added'
                    when kind = 'weather'
                        then word('screen_viewed screen_viewed location_searched feature_used', k, 'name')
                    else word('product_viewed product_viewed screen_viewed feature_used', k, 'name')
                    end as event_name
            from (
                select *, unnest(range(length) || if(session_no % 307 = 3, [length - 1], []) || if(
                    u(no, 'widget') < 0.4 and word('ios ios android android web', no, 'platform') <> 'web'
                        and u(session_no, 'glances') < 0.8 and session_no % 4001 <> 7
                        and glance_at > started_at + interval 1 hour and glance_at < gone_at - interval 1 hour
                        and berlin(glance_at + interval 1 hour)::date = berlin(started_at)::date,
                    range(60, 61 + floor(4 * u(session_no, 'glances often'))::int), [])) as i
                from (
                    select *, date_trunc('day', started_at + to_hours(utc_offset))
                        + seconds(3600 * (14.5 + 6 * u(no, 'own hour') - utc_offset) + 1500 * u(session_no, 'glance'))
                        as glance_at
                    from sessions
                )
                order by session_no, i
            )
        )
    )""",
    "esp/contacts": """
    select number('K', no, 7) as contact_id, email,
        if(kind = 'registered' and u(no, 'linked') < 0.9, customer_id, null) as customer_id,
        utc(created_at) as created_at
    from contacts order by no""",
    "esp/consents": """
    with said(no, email, phone, user_id, channel, source, status, changed_at) as (
        select no, email, null, null, 'email', if(kind = 'registered', 'signup_form', 'newsletter_form'),
            if(opts_in, 'opted_in', 'opted_out'), opted_in_at
        from contacts where opts_in or u(no, 'silent') < 0.5
        union all
        select no, email, null, null, 'email', 'preference_center',
            unnest(if(no % 23 = 1, ['opted_out', 'opted_in'], ['opted_out'])), left_at
        from contacts where left_at is not null
        union all
        select no, email, null, null, 'email', 'checkout', 'opted_in', returned_at
        from contacts where returned_at is not null
        union all
        select no, email, null, null, 'email', 'unsubscribe_link', 'opted_out', unsubscribed_at
        from messages where unsubscribed_at is not null
        union all
        select no, email, null, null, 'email', 'support', if(no % 2 = 0, 'opted_out', 'opted_in'),
            end_at() + to_hours(7 + no % 90)
        from contacts where no % 149 = 4
        union all
        select no, email, null, null, 'ads', 'cookie_banner', unnest(['opted_in', 'opted_out']),
            unnest([created_at, later(created_at, no, 'ads out', 900)])
        from contacts where u(no, 'ads') < 0.45
        union all
        select no, null, phone, null, 'sms', 'checkout', unnest(['opted_in', 'opted_out']),
            unnest([created_at, later(created_at, no, 'sms out', 1500)])
        from people where phone is not null and u(no, 'sms') < 0.55
        union all
        select no, null, null, user_id, 'push', 'app_settings', unnest(['opted_in', 'opted_out']),
            unnest([created_at, later(created_at, no, 'push out', 1500)])
        from app_users where u(no, 'push') < 0.65
    )
    select if(u(no, 'typed') < 0.08, messy(email, no, 'typed so'), email) as email, phone, user_id, channel,
        status, source, utc(changed_at) as changed_at
    from said where changed_at < end_at() or source in ('support', 'unsubscribe_link')
    order by said.changed_at::date, hash(no), channel, said.changed_at, status, source""",
    "esp/suppressions": """
    with stopped(no, email, phone, user_id, channel, reason, suppressed_at) as (
        select no, email, null, null, 'email', 'complaint', complained_at
        from messages where complained_at is not null
        union all
        select no, email, null, null, 'email', 'hard_bounce', bounced_at from messages where is_hard
        union all
        select no, email, null, null, null, 'unsubscribed', blocked_at
        from contacts where blocked_at is not null
        union all
        select no, email, null, null, null, 'erased', deleted_at + interval 2 hour
        from people where deleted_at is not null and email > '' and not at_reception and no // 127 % 2 = 1
        union all
        select no, null, null, user_id, null, 'erased', created_at + seconds(epoch(gone_at - created_at) / 2)
        from app_users where no = (select min(no) from app_users where kind = 'app_only')
        union all
        select no, null, phone, null, 'sms', 'unsubscribed', created_at + seconds(epoch(age) / 3)
        from people where phone is not null and no % 151 = 3
    )
    select email, phone, user_id, channel, reason, utc(suppressed_at) as suppressed_at
    from stopped order by no, stopped.suppressed_at, reason""",
    "esp/campaigns": """
    select c[1] as campaign_id, c[2] as campaign_name, c[3] as stage, c[4] as channel, c[5] as activity,
        c[6] as campaign_type, c[7]::boolean as is_always_on, c[8] as goal_metric,
        c[9]::decimal(18, 2) as cost, c[10] as currency,
        coalesce(first_sent, first_day() + (span() * c[11]::double)::int) as started_at,
        coalesce(last_sent, first_day() + (span() * try_cast(c[12] as double))::int) as ended_at
    from lines(getvariable('campaigns'))
    left join (
        select campaign_id, min(sent_at)::date as first_sent, max(sent_at)::date + 2 as last_sent
        from broadcasts where campaign_id <> 'CMP-02' group by campaign_id
    ) on campaign_id = c[1]
    order by c[1]""",
    "esp/messages": """
    select number('m', m, 9) as message_id, campaign_id, email, utc(sent_at) as sent_at,
        utc(delivered_at) as delivered_at, utc(opened_at) as opened_at, utc(clicked_at) as clicked_at,
        utc(bounced_at) as bounced_at, utc(unsubscribed_at) as unsubscribed_at,
        utc(complained_at) as complained_at
    from messages order by m""",
}

# What record_state.py would have written on the day of the draw; a person's id is the hash of the shop account.
STATE = """
    select drawn_on() as as_of_date, audience, 'entered' as event, md5('shop:customer:' || customer_id) as person_id,
        drawn_on() as entered_on, is_holdout, share::double as holdout_share
    from drawn
    union all
    select distinct drawn_on(), audience, 'built', null, null::date, null::boolean, share::double from drawn
    order by audience, event, person_id"""

# id | name | stage | channel | activity | type | always on | goal | cost | currency | start | end, as shares
CAMPAIGNS = """
CMP-01|Welcome, three mails|act|email|welcome_series|triggered|true|first_orders|2400|EUR|0|
CMP-02|Monthly trail letter|engage|email|newsletter|broadcast|true|clicks|5200|EUR|0|
CMP-03|Black week|convert|email|seasonal_sale|broadcast|false|orders|1800|EUR|0|1
CMP-04|Spring on the trail|convert|email|seasonal_sale|broadcast|false|orders|1500|EUR|0|1
CMP-05|You left something behind|convert|email|abandoned_cart_email|triggered|true|orders|900|EUR|0|
CMP-06|How was it?|engage|email|review_request|triggered|true|feedback|600|EUR|0|
CMP-07|Running low?|engage|email|replenishment_reminder|triggered|true|repeat_orders|700|EUR|0|
CMP-08|We miss you|engage|email|win_back|triggered|true|reactivated_customers|1100|EUR|0.1|
CMP-09|Display retargeting|convert|ads|display_retargeting|triggered|true|orders|14500|EUR|0.05|
CMP-10|Search ads|reach|ads|paid_search|triggered|true|visits|38000|EUR|0|
CMP-11|Social prospecting US|reach|ads|social_ads|broadcast|false|sign_ups|9800|USD|0.4|0.7
CMP-12|Storm warning|act|push|weather_alert|triggered|true|active_users|300|EUR|0.02|
CMP-13|Pickup reminder|engage|sms|pickup_reminder|triggered|true|pickups|1250|GBP|0.3|
CMP-14|Winter catalogue|engage|direct_mail|catalogue|broadcast|false|repeat_orders|7600|EUR|0.8|0.85
"""


def date(text):
    """An ISO date, for argparse."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a date like 2026-01-31") from None


def fail(message):
    """End with one line on stderr."""
    print(f"generate_demo_data.py: {message}", file=sys.stderr)
    sys.exit(2)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message):
        """Say what is wrong, without the usage."""
        fail(message)


def arguments():
    """The checked command line."""
    parser = Parser(description="Make demo raw data of a shop, an app and an ESP.")
    yesterday = dt.date.today() - dt.timedelta(days=1)
    parser.add_argument("--customers", type=int, default=2000, help="registered ones, default %(default)s")
    parser.add_argument("--as-of", type=date, default=yesterday, help="last complete day, default yesterday")
    parser.add_argument("--years", type=int, default=3, help="length of the history, default %(default)s")
    parser.add_argument("--out", type=Path, default=Path("data/demo"), help="folder, default %(default)s")
    parser.add_argument("--state", type=Path, help="folder for the state of the demo's two campaigns, default none")
    parser.add_argument("--seed", type=int, default=42, help="other seed, other people, default %(default)s")
    args = parser.parse_args()
    for name, low, high in (("customers", 100, 5_000_000), ("years", 1, 15)):
        if not low <= getattr(args, name) <= high:
            fail(f"--{name} must be between {low} and {high}")
    if not 2000 <= args.as_of.year <= 2090:
        fail("--as-of must be between the years 2000 and 2090")
    return args


def refuse_foreign(out):
    """End unless `out` is absent, empty or made by this script, to the last file."""
    if not out.exists():
        return
    if not out.is_dir() or out.is_symlink():
        fail(f"--out {out} is a file or a link, nothing was changed")
    found = list(out.rglob("*") if (out / MARKER).exists() else out.iterdir())
    ours = {MARKER, *(f"{table}.parquet" for table in TABLES), *(table.split("/")[0] for table in TABLES)}
    strangers = {path.relative_to(out).as_posix() for path in found} - ours
    if strangers or (found and not (out / MARKER).exists()):
        has = min(strangers, default=f"no {MARKER}")
        fail(f"--out {out} is not a folder of demo data (it has {has}), nothing was changed")


def refuse_foreign_state(state):
    """End unless `state` is absent or made by this script: a real one cannot be had again."""
    if state and (state / "audience_events").exists() and not (state / MARKER).exists():
        fail(f"--state {state} is not the state of a demo, nothing was changed")


def replace_state(args, con):
    """Write --state anew."""
    if not args.state:
        return
    folder = args.state / "audience_events"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (args.state / MARKER).write_text("Made by generate_demo_data.py, which may replace audience_events.\n")
    target = str(folder / f"{args.as_of - dt.timedelta(days=75)}.parquet").replace("'", "''")
    con.execute(f"copy ({STATE}) to '{target}' (format parquet, compression zstd)")


def generate(args, folder):
    """Write all tables into `folder`; returns the number of rows."""
    con = duckdb.connect(config={"temp_directory": str(folder / "spill")})
    first_day = args.as_of - dt.timedelta(days=round(365.25 * args.years))
    first_day -= dt.timedelta(days=first_day.weekday())  # weeks start on Monday
    con.execute(f"""
        create macro seed() as {args.seed};
        create macro size() as {args.customers};
        create macro as_of() as date '{args.as_of}';
        create macro first_day() as date '{first_day}';
        create macro product_count() as {PRODUCTS.count("=")};
        {MACROS}""")
    texts = {"products": PRODUCTS, "places": PLACES, "names": NAMES, "campaigns": CAMPAIGNS}
    for name, text in texts.items():
        con.execute(f"set variable {name} = $text${text}$text$")
    for name, query in SHARED.items():
        con.execute(f"create table {name} as {query}")
    con.execute("set variable cities = (select list(city order by place) from places)")
    total = 0
    for table, query in TABLES.items():
        start, path = monotonic(), folder / f"{table}.parquet"
        path.parent.mkdir(exist_ok=True)
        target = str(path).replace("'", "''")
        rows = con.execute(f"copy ({query}) to '{target}' (format parquet, compression zstd)").fetchone()[0]
        print(f"{table:<18}{rows:>12,} rows {monotonic() - start:7.1f} s", flush=True)
        total += rows
    replace_state(args, con)
    con.close()
    return total


def main():
    """Generate beside --out, then swap the folders: --out is whole at any time."""
    args, start = arguments(), monotonic()
    private()  # the state beside the demo data gets a key
    out = args.out.resolve() if args.out.is_dir() and not args.out.is_symlink() else args.out.absolute()
    refuse_foreign(out)
    refuse_foreign_state(args.state)
    new, old = (out.with_name(f".{out.name}.{word}-{os.getpid()}") for word in ("new", "old"))
    try:
        new.mkdir(parents=True)
        total = generate(args, new)
        shutil.rmtree(new / "spill", ignore_errors=True)
        (new / MARKER).write_text("Made by generate_demo_data.py, which may replace this folder.\n")
        refuse_foreign(out)  # again, for what came while this was running
        if out.exists():
            out.rename(old)
        new.rename(out)
    except OSError as error:
        fail(error)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    seconds = monotonic() - start
    print(f"{args.out}: {len(TABLES)} tables, {total:,} rows, as of {args.as_of}, {seconds:.1f} s")


if __name__ == "__main__":
    main()
