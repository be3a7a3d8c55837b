-- Eight marts by hand, from the demo's raw Parquet files: what somebody who knows DuckDB writes in a day, for these sources alone.
-- No adapters, no checks, no rejected rows, no model that anything else could use. benchmarks/floor.py runs it; {raw}, {seeds} and
-- {next_day} (the day after as_of_date) are filled in. Integer keys inside, texts at the end; duplicates are found by a hash.

create temp macro tx(x) as nullif(trim(x),'');
create temp macro em(x) as nullif(lower(trim(nullif(trim(x),''), ' '||chr(9)||chr(10)||chr(13)||chr(160)||chr(8203)||chr(65279))),'');
create temp macro ph(x) as nullif(regexp_replace(regexp_replace(regexp_replace(x,'[(]0[)]','','g'),'[^0-9+]','','g'),'^00','+'),'');
create temp macro money(x) as cast(x as decimal(18,4));
create temp macro per(x, n) as case when n>0 then (sign(x)*((2*abs(x)*10000)::hugeint+n)//(2*n))::decimal(38,0)*0.0001::decimal(5,4) end;
create temp macro settled(n) as case when n>=3 then 'loyal' when n>=2 then 'repeat' else 'one_time' end;

create temp table rates as
    select currency, month as valid_from, lead(month,1,date '9999-12-31') over(partition by currency order by month) as
        valid_until, rate
    from read_csv('{seeds}/exchange_rates.csv',types={'rate':'DECIMAL(18,8)','month':'DATE'})
    where reporting_currency='EUR' and currency<>'EUR' union all
    select 'EUR', date '0001-01-01', date '9999-12-31', 1::decimal(18,8);

create temp table c as with r as not materialized (select tx(customer_id) customer_id, em(email) email, tx(phone) phone,
        tx(first_name) first_name, tx(last_name) last_name, upper(tx(country)) country, tx(region) region, tx(city) city,
        lower(tx(language)) "language", tx(time_zone) time_zone, tx(acquisition_channel) acquisition_channel, created_at,
        coalesce(updated_at,created_at) updated_at, deleted_at from read_parquet('{raw}/shop/customers.parquet') where
        tx(customer_id) is not null and created_at is not null),
    dup as materialized (select customer_id from read_parquet('{raw}/shop/customers.parquet') group by 1 having count(*)>1)
    select * from r where customer_id not in (from dup where customer_id is not null) union all select *
    from r
    where customer_id in (from dup) qualify row_number() over(partition by customer_id order by updated_at desc nulls last)=1;

create temp table o as with g as not materialized (select * replace(tx(customer_id) as customer_id, em(email) as email) from
        (select order_id, customer_id, email, case when
        regexp_matches(ordered_at,'[0-9]:[0-9].*(Z|z|[+-][0-9]{2}(:?[0-9]{2})?)$') then try_cast(ordered_at as timestamptz) at
        time zone 'Europe/Berlin' else try_cast(ordered_at as timestamp) end ordered_at, lower(tx(status)) status,
        coalesce(upper(tx(currency)),'EUR') currency, try_cast(gross_amount as decimal(18,4)) gross,
        coalesce(try_cast(discount_amount as decimal(18,4)),0) discount, tx(order_channel) order_channel, tx(fulfilment_channel)
        fulfilment_channel, tx(coupon_code) coupon_code, coalesce(is_test,false) is_test, updated_at from
        read_parquet('{raw}/shop/orders.parquet') where order_id is not null) where ordered_at is not null and gross is not null
        and (currency='EUR' or ordered_at >= (select min(valid_from) from rates where rates.currency=currency))),
    dup as materialized (select order_id from read_parquet('{raw}/shop/orders.parquet') group by 1 having count(*)>1)
    select * from g
    where currency in (select currency from rates) and order_id not in (from dup where order_id is not null)
    union all select * from g
    where currency in (select currency from rates) and order_id in (from dup) qualify row_number() over(partition by order_id
        order by updated_at desc nulls last)=1;

create temp table rf as with u as (select distinct on (refund_id) refund_id, order_id, refunded_at::date refund_date,
        amount::decimal(18,4) amount from read_parquet('{raw}/shop/refunds.parquet') where refund_id is not null and order_id is
        not null and amount is not null and refunded_at is not null)
    from u;

create temp table u as
    select distinct on (user_id) tx(user_id) user_id, tx(customer_id) customer_id, em(email) email, tx(default_region)
        default_region, tx(default_city) default_city, upper(tx(default_country)) default_country, created_at at time zone
        'Europe/Berlin' created_at
    from read_parquet('{raw}/app/users.parquet') where user_id is not null and created_at is not null;

create temp table k as
    select distinct on (contact_id) tx(contact_id) contact_id, tx(customer_id) customer_id, em(email) email, created_at at time
        zone 'Europe/Berlin' created_at
    from read_parquet('{raw}/esp/contacts.parquet')
    where contact_id is not null and created_at is not null;

create temp table evdup as select hash(event_id) h from read_parquet('{raw}/app/events.parquet')
    group by 1 having count(*)>1;

create temp table ud as
    select user_id, d, min(first_at) first_at, sum(n) events_count, count(session_id) sessions_count, sum(n) filter(session_id
        is not null) session_events_count, min(cart) first_cart_at
    from ( select user_id, session_id, occurred_at::date d, min(occurred_at) first_at, count(*) n, min(occurred_at)
        filter(event_name in ('product_added_to_cart','checkout_started')) cart from (select user_id, session_id, event_name,
        occurred_at at time zone 'Europe/Berlin' occurred_at, event_id from read_parquet('{raw}/app/events.parquet') where
        event_id is not null and user_id is not null and occurred_at is not null and hash(event_id) not in (from evdup) union
        all (select distinct on (event_id) user_id, session_id, event_name, occurred_at at time zone 'Europe/Berlin'
        occurred_at, event_id from read_parquet('{raw}/app/events.parquet') where event_id is not null and user_id is not null
        and occurred_at is not null and hash(event_id) in (from evdup))) group by 1,2,3)
    group by 1,2;

create temp table as_of as select a as_of_date, (a+1)::timestamp as_of_end, a-29 active_since
    from (select greatest((select max(ordered_at::date) from o where not is_test and coalesce(status,'') not in
        ('cancelled','canceled','voided','failed','expired','draft') and ordered_at::date<date '{next_day}'),(select max(d) from
        ud where d<date '{next_day}')) a);

create temp table rec as
    select 'shop:customer:'||customer_id rk, 'shop' source, customer_id source_id, 'shop:customer:'||customer_id g, email,
        created_at, 'shop:customer:'||customer_id sk
    from c union all
    select
        'app:user:'||user_id,'app',user_id,coalesce('shop:customer:'||customer_id,'app:user:'||user_id),email,created_at,'app:user:'||user_id
    from u union all
    select
        'esp:contact:'||contact_id,'esp',contact_id,coalesce('shop:customer:'||customer_id,'esp:contact:'||contact_id),email,created_at,'esp:contact:'||contact_id
    from k union all
    select
        'shop:guest:'||email,'shop',null,'shop:guest:'||email,email,min(ordered_at),'shop:guest_order:'||arg_min(order_id,(ordered_at,order_id))
    from o where customer_id is null and email is not null and not is_test group by email union all
    select
        'shop:customer:'||customer_id,'shop',customer_id,'shop:customer:'||customer_id,null,min(ordered_at),'shop:customer:'||customer_id
    from o
    where customer_id is not null and not is_test and customer_id not in (select customer_id from c)
    group by customer_id union all
    select 'app:user:'||user_id,'app',user_id,'app:user:'||user_id,null,min(first_at),'app:user:'||user_id
    from ud where user_id not in (select user_id from u) group by user_id;

-- an address on more than ten records, each order of a guest one of them, unless all have one name or one phone
create temp table listed as
    select email, nullif(lower(trim(regexp_replace(coalesce(first_name,'')||' '||coalesce(last_name,''),'\s+',' ','g'))),'') who,
        ph(phone) phone from c where email is not null
    union all select email, null, null from u where email is not null
    union all select email, null, null from k where email is not null
    union all select email, null, null from o where customer_id is null and email is not null and not is_test;

create temp table nolink as
    select email from listed group by 1 having count(*)>10
        and not coalesce((count(distinct who)=1 and count(who)=count(*) filter(who is not null or phone is not null))
            or (count(distinct who)<=1 and count(distinct phone)=1 and count(phone)=count(*) filter(who is not null or phone is not null)), false)
    union select em(email) from read_csv('{seeds}/shared_emails.csv');

create temp table hubs as select email, min(g) hub from rec
    where email is not null and email not in (from nolink) group by 1 having min(g)<>max(g);

create temp table edges as select distinct g a, hub b from rec join hubs using(email)
    where g<>hub union select distinct hub, g from rec join hubs using(email) where g<>hub;

create temp table comp as with recursive cc(n,c) using key (n) as (select distinct a, a from edges union select e.b, min(cc.c)
        from cc join edges e on cc.n=e.a join recurring.cc k on e.b=k.n where cc.c<k.c group by e.b)
    select n,c from cc;

create temp table m0 as select rk, source, source_id, email, created_at, sk, coalesce(comp.c,g) cl
    from rec left join comp on comp.n=rec.g
    where not starts_with(rk,'shop:guest:') or email not in (from nolink);

create temp table people as
    select row_number() over()::int p, cl, md5(arg_min(sk,(created_at,sk))) person_id, min(created_at) created_at
    from m0 group by cl;

create temp table im as select p, rk, source, source_id, email, m0.created_at, sk
    from m0 join people using(cl);

create temp table ord as with r as (select order_id, sum(amount) a from rf, as_of where refund_date<=as_of_date group by 1),
    x as (select o.order_id, coalesce('shop:customer:'||customer_id,'shop:guest:'||email) rk, ordered_at, ordered_at::date
        order_date, order_channel, fulfilment_channel, coupon_code, money(gross*rate) gross_amount, money((gross-discount)*rate)
        sold, money((gross-discount-coalesce(r.a,0))*rate) net_amount from o cross join as_of left join r on
        r.order_id=o.order_id join rates on rates.currency=o.currency and ordered_at::date>=valid_from and
        ordered_at::date<valid_until where not is_test and coalesce(status,'') not in
        ('cancelled','canceled','voided','failed','expired','draft') and ordered_at::date<=as_of_date)
    select x.* exclude(rk), p, case when p is not null then row_number() over w end n, case when p is not null then
        order_date-lag(order_date) over w end gap, case when p is not null then lead(ordered_at) over w end next_at
    from x left join im on im.rk=x.rk window w as (partition by p order by ordered_at, order_id);

create table orders as
    select 'shop:'||order_id order_key,'shop' source, order_id, person_id, ordered_at, order_date, n order_number, gap
        days_since_previous_order, n=1 is_first_order, case when n=1 then 'new' when n>1 then 'repeat' else 'unknown' end
        order_type, order_channel, fulfilment_channel, coupon_code, gross_amount, money(gross_amount-sold) discount_amount,
        money(sold-net_amount) refunded_amount, net_amount
    from ord left join people using(p);

create temp table pf as with f as (select p, count(*) orders_count, min(ordered_at) fo, min(order_date) first_order_date,
        max(order_date) last_order_date, sum(gross_amount) g, sum(net_amount) n from ord where p is not null group by p),
    ad as (select p, d, min(first_at) first_at, sum(sessions_count) sessions_count, sum(session_events_count)
        session_events_count, min(cart) cart, sum(ev) ev from (select p, d, first_at, sessions_count, session_events_count,
        first_cart_at cart, events_count ev from ud join im on im.source='app' and im.source_id=ud.user_id, as_of where
        d<=as_of_date) group by p,d)
    select p, person_id, least(created_at, coalesce(f.fo,created_at), coalesce(a.fa,created_at)) first_seen_at,
        coalesce(orders_count,0) orders_count, first_order_date, last_order_date, as_of_date-last_order_date recency_days,
        money(coalesce(g,0)) gross_revenue, money(coalesce(n,0)) net_revenue, greatest(la,last_order_date) last_activity_date
    from people cross join as_of left join f using(p)
    left join (select p, min(first_at) fa, max(d) la from ad group by p) a using(p)
    where least(created_at, coalesce(f.fo,created_at), coalesce(a.fa,created_at))<as_of_end;

create temp table ad as
    select p, d, min(first_at) first_at, sum(sc) sessions_count, sum(se) session_events_count, min(cart) cart, sum(ev)::bigint
        ev, lead(d) over(partition by p order by d) nd
    from ( select p, d, first_at, sessions_count sc, coalesce(session_events_count,0) se, first_cart_at cart, events_count ev
        from ud join im on im.source='app' and im.source_id=ud.user_id, as_of where d<=as_of_date union all select p,
        order_date, min(ordered_at), 0,0,null,0 from ord where p is not null group by 1,2)
    group by p,d;

create temp table cuts as
    select quantile_cont(recency_days::double,[.2,.4,.6,.8]) r, quantile_cont(orders_count::double,[.2,.4,.6,.8]) f,
        quantile_cont(net_revenue::double,[.2,.4,.6,.8]) m, min(recency_days)=max(recency_days) eq
    from pf where orders_count>0;

create table customer_rfm as with s as (select person_id, recency_days, orders_count frequency, net_revenue monetary, case when
        eq then 5 else 1+(recency_days<r[1])::int+(recency_days<r[2])::int+(recency_days<r[3])::int+(recency_days<r[4])::int end
        r_score, 1+(orders_count>f[1])::int+(orders_count>f[2])::int+(orders_count>f[3])::int+(orders_count>f[4])::int f_score,
        1+(net_revenue::double>m[1])::int+(net_revenue::double>m[2])::int+(net_revenue::double>m[3])::int+(net_revenue::double>m[4])::int
        m_score from pf, cuts where orders_count>0)
    select s.*, segment, clm_stage
    from s join read_csv('{seeds}/rfm_segments.csv') g on r_score between r_min and r_max and f_score between f_min and f_max;

create temp table th as with od as (select p, order_date, order_date-lag(order_date) over(partition by p order by order_date)
        gap from (select distinct p, order_date from ord where p is not null)),
    s as (select count(*) gaps, count(distinct p) cs, ceil(round(quantile_cont(gap::double,.8),6)) p80,
        ceil(round(quantile_cont(gap::double,.95),6)) p95 from od, as_of where gap is not null and
        order_date<date_trunc('month',as_of_date)),
    h as (select (select as_of_date from as_of)-min(order_date) hd from od)
    select case when ok then p80::int else 180 end risk, case when ok then greatest(p95,p80+1)::int else 365 end lapse, case
        when ok then 'data' else 'default' end src
    from (select *, cs>=100 and hd>=2*greatest(p95,p80+1) ok from s,h);

create temp table erased as with e as (select em(email) email, ph(tx(phone)) phone, tx(user_id) user_id,
        min(coalesce(suppressed_at at time zone 'Europe/Berlin', timestamp '0001-01-01')) eat from
        read_parquet('{raw}/esp/suppressions.parquet') where lower(tx(reason))='erased' group by 1,2,3)
    select p, min(eat) erased_at
    from (select p, eat from im join e on im.email=e.email union all select p, eat from im join e on im.source='app' and
        im.source_id=e.user_id union all select p, eat from c join e on ph(c.phone)=e.phone join im on
        im.rk='shop:customer:'||c.customer_id)
    group by p;

create temp table pros as select pf.p, first_seen_at, coalesce(fo, as_of_end) until
    from pf cross join as_of
    left join (select p, min(ordered_at) fo from ord where p is not null group by p) f using(p)
    where first_seen_at<coalesce(fo,as_of_end);

create temp table pst as with pd as (select ad.* from ad join pros using(p) where ev>0 and first_at<until),
    v as (select p, occurred_at, lag(occurred_at::date,2) over(partition by p order by occurred_at,event_id) w,
        occurred_at::date d from (select user_id, session_id, event_name, occurred_at at time zone 'Europe/Berlin' occurred_at,
        event_id from read_parquet('{raw}/app/events.parquet') where event_id is not null and user_id is not null and
        occurred_at is not null and hash(event_id) not in (from evdup) union all (select distinct on (event_id) user_id,
        session_id, event_name, occurred_at at time zone 'Europe/Berlin' occurred_at, event_id from
        read_parquet('{raw}/app/events.parquet') where event_id is not null and user_id is not null and occurred_at is not null
        and hash(event_id) in (from evdup))) e join im on im.source='app' and im.source_id=e.user_id join pros using(p) where
        event_name='product_viewed' and occurred_at<until),
    st as (select p, first_seen_at m, 0 a,0 k,0 v from pros union all select p, first_at,1,0,0 from pd union all select
        p,(d+30)::timestamp,-1,0,0 from pd union all select p,cart,0,1,0 from pd where cart is not null union all select
        p,(d+14)::timestamp,0,-1,0 from pd where cart is not null union all select p,occurred_at,0,0,1 from v where d<w+14 union
        all select p,(w+14)::timestamp,0,0,-1 from v where d<w+14),
    mo as (select p,m,sum(a) a,sum(k) k,sum(v) v from st join pros using(p) where m<until group by p,m),
    ru as (select p,m,sum(a) over w a,sum(k) over w k,sum(v) over w v from mo window w as (partition by p order by m)),
    sg as (select p,m, case when k>0 then 1 when v>0 then 2 when a>0 then 3 else 4 end r from ru)
    select p, m entered_at, r from (select *, lag(r) over(partition by p order by m) pr from sg)
    where pr is null or (case when r<=2 then 1 else r end)<>(case when pr<=2 then 1 else pr end);

create table customer_stage_history as with sp as (select p, ordered_at, order_date, n, order_date-gap::int pd,
        coalesce(next_at,as_of_end) ends, 1+sum((coalesce(gap,0)>lapse)::int) over w cyc, max(case when gap>lapse then
        order_date end) over w lc, least(30,risk) nd, risk::int risk, lapse::int lapse from ord, th, as_of where p is not null
        window w as (partition by p order by n)),
    j as (select *, n=1 or coalesce(order_date=lc,false) fr, n=2 or coalesce(pd=lc,false) pfr, settled(n) ss,
        (order_date+(nd+1)::int)::timestamp sa, (order_date+(risk+1)::int)::timestamp ra, (order_date+(lapse+1)::int)::timestamp
        la from sp),
    s2 as (select *, case when n=1 then 'new' when fr then 'reactivated' else ss end st, case when n=1 then 'no order yet' when
        (pd+(lapse+1)::int)::timestamp<ordered_at then 'lapsed' when (pd+(risk+1)::int)::timestamp<ordered_at then 'at_risk'
        when not pfr or (pd+(nd+1)::int)::timestamp<ordered_at then settled(n-1) when n=2 then 'new' else 'reactivated' end ps
        from j),
    os as (select p, unnest([case when st<>ps then st end, case when fr and sa<ends and sa<ra then ss end, case when ra<ends
        then 'at_risk' end, case when la<ends then 'lapsed' end]) stage, unnest([ordered_at,sa,ra,la]) entered_at, n, cyc,
        order_date from s2),
    mo as (select p, entered_at, case when r<=2 then 'evaluating' when r=3 then 'engaged' else 'lead' end stage, case r when 1
        then 'cart_or_checkout' when 2 then 'repeated_product_views' when 3 then 'activity_within_active_days' else
        'no_activity' end rule, 0 n, 1 cyc, null::date lod from pst union all select p, entered_at, stage, null, n, cyc,
        order_date from os where stage is not null),
    er as (select p, greatest(erased_at, first_seen_at) ea from erased join pf using(p), as_of where erased_at<as_of_end),
    we as (select mo.* from mo left join er using(p) where er.p is null or entered_at<ea union all select p,
        ea,'erased','erased_on_request',null,null,null from er),
    ch as (select *, lead(entered_at) over(partition by p order by entered_at, n) exited_at from we)
    select person_id, stage, entered_at, exited_at, coalesce(rule, case stage when 'new' then 'first_order' when 'reactivated'
        then 'order_after_lapse' when 'one_time' then 'one_order' when 'repeat' then 'two_orders_or_more' when 'loyal' then
        'loyal_min_orders_reached' when 'at_risk' then 'at_risk_after_days_passed' when 'lapsed' then 'lapsed_after_days_passed'
        end) rule, cyc::int cycle_number, n::bigint orders_count, entered_at::date-lod days_since_last_order, risk
        at_risk_after_days, src at_risk_source, lapse lapsed_after_days, src lapsed_source
    from ch join people using(p), th where exited_at is null or entered_at<exited_at;

create temp table pmo as
    select p, date_trunc('month',order_date)::date m, count(*) orders, sum(gross_amount) g, sum(net_amount) ne
    from ord where p is not null group by 1,2;

create table cohort_retention as with me as (select p, date_trunc('month',first_order_date)::date cm from pf where
        orders_count>0),
    ce as (select cm, m, count(*) a, sum(orders) o, sum(g) g, sum(ne) ne from pmo join me using(p) group by 1,2),
    co as (select cm, count(*) size from me group by 1),
    gr as (select cm, size, unnest(generate_series(cm, as_of_date, interval 1 month))::date m, as_of_date from co, as_of)
    select cm cohort_month, strftime(cm,'%Y-%m') cohort, (12*(year(m)-year(cm))+month(m)-month(cm))::int period_index, m
        activity_month, size cohort_size, coalesce(a,0) active_customers, coalesce(a,0)/size::double retention,
        coalesce(o,0)::bigint orders, money(coalesce(g,0)) gross_revenue, money(coalesce(ne,0)) net_revenue,
        money(sum(coalesce(g,0)) over w) cumulative_gross_revenue, money(sum(coalesce(ne,0)) over w) cumulative_net_revenue,
        last_day(m)<=as_of_date is_complete
    from gr left join ce using(cm,m) window w as (partition by cm order by m);

create table cohort_retention_30d as with me as (select p, first_order_date f, date_trunc('month',first_order_date)::date cm
        from pf where orders_count>0),
    mf as (select cm, f, count(*) c from me group by 1,2),
    co as (select cm, sum(c)::bigint size, min(f) ff from mf group by 1),
    wi as (select cm, size, unnest(range(0, ((as_of_date-ff)//30+1)::int))::int w, as_of_date from co, as_of),
    ma as (select wi.cm, w, size, coalesce(sum(c) filter(f+30*(w+1)-1<=as_of_date),0)::bigint mature from wi join mf using(cm)
        group by 1,2,3),
    ac as (select cm, w, count(*) a, count(*) filter(f+30*(w+1)-1<=(select as_of_date from as_of)) am from (select distinct p,
        cm, f, ((order_date-f)//30)::int w from ord join me using(p)) group by 1,2)
    select ma.cm cohort_month, strftime(ma.cm,'%Y-%m') cohort, ma.w window_index, size cohort_size, mature mature_customers,
        coalesce(a,0) active_customers, coalesce(am,0)::bigint active_mature, case when mature>0 then
        coalesce(am,0)/mature::double end retention
    from ma left join ac using(cm,w);

create table growth_accounting as with nb as (select m, (m+interval 1 month)::date nm, g::decimal(18,4) r, lag(m) over w mb,
        lag(g::decimal(18,4)) over w rb, lead(m) over w mf from pmo window w as (partition by p order by m)),
    j as (select *, mb is null nw, coalesce((mb+interval 1 month)::date=m,false) rt, coalesce(mf<>nm,true) ch from nb),
    pr as (select m, count(*) active, count(*) filter(nw) nw, count(*) filter(rt) rt, count(*) filter(not nw and not rt) rs,
        sum(r) filter(nw) rn, sum(r) filter(not nw and not rt) rr, sum(greatest(r-rb,0)) filter(rt) re, sum(greatest(rb-r,0))
        filter(rt) rc from j group by 1),
    go as (select nm m, count(*) ch, sum(r) rch from j where ch group by 1),
    ms as (select unnest(generate_series((select min(m) from pmo), as_of_date, interval 1 month))::date m, as_of_date from
        as_of),
    tt as (select m, sum(orders) o, sum(g) g, sum(ne) ne from pmo group by 1)
    select m as "month", coalesce(active,0) active, coalesce(nw,0) new, coalesce(rt,0) retained, coalesce(rs,0) resurrected,
        coalesce(ch,0) churned, money(coalesce(g,0)) revenue, money(coalesce(rn,0)) revenue_new, money(coalesce(rr,0))
        revenue_resurrected, money(coalesce(re,0)) revenue_expansion, money(coalesce(rc,0)) revenue_contraction,
        money(coalesce(rch,0)) revenue_churned, money(coalesce(ne,0)) net_revenue, last_day(m)<=as_of_date is_complete
    from ms left join tt using(m) left join pr using(m) left join go using(m);

create table lifecycle_metrics as with ch as (select first_seen_at::date d, count(*) us, 0 c,0 r,0 l,0 a,0::hugeint
        se,0::hugeint s from pf group by 1 union all select order_date,0,count(*) filter(n=1),count(*) filter(n=2),count(*)
        filter(n=3),0,0,0 from ord where n<=3 group by 1 union all select
        d,0,0,0,0,count(*),sum(session_events_count),sum(sessions_count) from ad group by 1 union all select
        least(coalesce(nd,d+30),d+30),0,0,0,0,-count(*),0,0 from ad group by 1 union all select
        d+30,0,0,0,0,0,-sum(session_events_count),-sum(sessions_count) from ad group by 1),
    dc as (select d, sum(us) us,sum(c) c,sum(r) r,sum(l) l,sum(a) a,sum(se) se,sum(s) s from ch group by 1),
    dy as (select unnest(generate_series((select min(d) from dc), as_of_date, interval 1 day))::date d from as_of),
    ru as (select d metric_date, (sum(coalesce(us,0)) over w)::bigint users, (sum(coalesce(c,0)) over w)::bigint customers,
        (sum(coalesce(r,0)) over w)::bigint repeat_customers, (sum(coalesce(l,0)) over w)::bigint loyal_customers,
        (sum(coalesce(a,0)) over w)::bigint active_users, (sum(coalesce(se,0)) over w)::bigint se, (sum(coalesce(s,0)) over
        w)::bigint s from dy left join dc using(d) window w as (order by d))
    select metric_date, users, customers, repeat_customers, loyal_customers, active_users, users-active_users passive_users,
        customers/nullif(users,0)::double user_activation_rate, repeat_customers/nullif(customers,0)::double
        repeat_customer_rate, loyal_customers/nullif(repeat_customers,0)::double loyal_customer_rate, se/nullif(s,0)::double
        session_depth
    from ru;

create temp table prof as with d as (select im.p, im.rk, im.source, im.source_id, im.created_at, im.email, c.phone,
        c.first_name, c.last_name, coalesce(c.country,u.default_country) country, coalesce(c.region,u.default_region) region,
        coalesce(c.city,u.default_city) city, c."language", c.time_zone, c.acquisition_channel, case when c.deleted_at<as_of_end
        then 0 when im.source='shop' and im.source_id is not null then 4 when im.source='app' then 3 when im.source='esp' then 2
        else 1 end k, coalesce(c.updated_at,im.created_at) t from im cross join as_of left join c on im.source='shop' and
        im.source_id=c.customer_id left join u on im.source='app' and im.source_id=u.user_id),
    one as (select p from d group by p having count(*)=1),
    r as (select *, (k,t,rk) pr, (created_at,rk) sn from d where p not in (from one))
    select p, source_id primary_customer_id, case when source='app' then source_id end app_user_id, email, phone, first_name,
        last_name, country, region, city, "language", time_zone, acquisition_channel
    from d where p in (from one) union all
    select p, coalesce(arg_min(source_id,sn) filter(source not in ('app','esp') and source_id is not null),
        arg_min(source_id,sn) filter(source_id is not null)), arg_max(source_id,pr) filter(source='app'), arg_max(email,pr)
        filter(email is not null), arg_max(phone,pr) filter(phone is not null), arg_max(first_name,pr) filter(first_name is not
        null), arg_max(last_name,pr) filter(last_name is not null), arg_max(country,pr) filter(country is not null),
        arg_max(region,pr) filter(region is not null), arg_max(city,pr) filter(city is not null), arg_max("language",pr)
        filter("language" is not null), arg_max(time_zone,pr) filter(time_zone is not null), arg_max(acquisition_channel,pr)
        filter(acquisition_channel is not null)
    from r group by p;

create table customers as
    select pf.person_id, case when erased.p is null then prof.primary_customer_id end as primary_customer_id, case when erased.p
        is null then prof.app_user_id end as app_user_id, case when erased.p is null then prof.email end as email, case when
        erased.p is null then prof.phone end as phone, case when erased.p is null then prof.first_name end as first_name, case
        when erased.p is null then prof.last_name end as last_name, case when erased.p is null then prof.country end as country,
        case when erased.p is null then prof.region end as region, case when erased.p is null then prof.city end as city, case
        when erased.p is null then prof."language" end as "language", case when erased.p is null then prof.time_zone end as
        time_zone, case when erased.p is null then prof.acquisition_channel end as acquisition_channel, first_seen_at,
        pf.orders_count>0 is_customer, pf.orders_count>=2 is_repeat_customer, pf.orders_count>=3 is_loyal_customer,
        pf.orders_count, first_order_date, last_order_date, pf.recency_days, gross_revenue, net_revenue, per(net_revenue, pf.orders_count) average_order_value, last_activity_date,
        coalesce(last_activity_date>=active_since,false) is_active_30d, h.stage, h.entered_at stage_entered_at, h.cycle_number,
        x.framework_stage clm_stage, r_score, f_score, m_score, r.segment rfm_segment, r.clm_stage rfm_clm_stage
    from pf cross join as_of join prof using(p)
    left join erased using(p) join customer_stage_history h on h.person_id=pf.person_id and h.exited_at is null join (select *
        from read_csv('{seeds}/stage_crosswalk.csv') where framework='CLM') x on x.stage=h.stage
    left join customer_rfm r on r.person_id=pf.person_id;
