-- All privileges in the database and on it, what roles get on later tables, their settings, and who is a member of them
-- with which options.
SELECT concat_ws(E'\n',
    (SELECT string_agg(pg_class.oid::regclass || ' ' || acls, E'\n' ORDER BY nspname, relname)
        FROM pg_class
        JOIN pg_namespace ON pg_namespace.oid = relnamespace
        CROSS JOIN LATERAL (
            SELECT string_agg(acl::text, ' ' ORDER BY acl::text) FROM unnest(relacl) AS acl
        ) AS a (acls)
        WHERE relacl IS NOT NULL AND nspname !~ '^pg_' AND nspname <> 'information_schema'),
    (SELECT string_agg(attname || ' ' || attacl::text, E'\n' ORDER BY attrelid::regclass::text, attname)
        FROM pg_attribute
        JOIN pg_class ON pg_class.oid = attrelid
        JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE attacl IS NOT NULL AND nspname !~ '^pg_' AND nspname <> 'information_schema'),
    (SELECT string_agg(proname || ' ' || proacl::text, E'\n' ORDER BY nspname, proname)
        FROM pg_proc
        JOIN pg_namespace ON pg_namespace.oid = pronamespace
        WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'),
    (SELECT string_agg(concat_ws(' ', 'schema', nspname, acls), E'\n' ORDER BY nspname)
        FROM pg_namespace
        -- The default, once it was changed and changed back, is written down.
        CROSS JOIN LATERAL (
            SELECT string_agg(acl::text, ' ' ORDER BY acl::text)
            FROM unnest(coalesce(nspacl, acldefault('n', nspowner))) AS acl
        ) AS a (acls)
        WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'),
    (SELECT 'database ' || string_agg(acl::text, ' ' ORDER BY acl::text)
        FROM pg_database, unnest(coalesce(datacl, acldefault('d', datdba))) AS acl
        WHERE datname = current_database()),
    (SELECT string_agg(concat_ws(' ', 'later', defaclobjtype, defaclacl), E'\n' ORDER BY defaclobjtype)
        FROM pg_default_acl),
    (SELECT string_agg(
            setdatabase || ' ' || setrole::regrole || ' ' || settings, E'\n'
            ORDER BY setdatabase, setrole::regrole::text)
        FROM pg_db_role_setting
        CROSS JOIN LATERAL (
            SELECT string_agg(setting, ',' ORDER BY setting) FROM unnest(setconfig) AS setting
        ) AS s (settings)),
    -- Without oids: those of roles that were created again are others.
    (SELECT string_agg(
            roleid::regrole || ' ' || member::regrole || ' ' || grantor::regrole
            || (to_jsonb(m) - ARRAY['oid', 'roleid', 'member', 'grantor']), E'\n'
            ORDER BY roleid::regrole::text, member::regrole::text, grantor::regrole::text)
        FROM pg_auth_members AS m WHERE roleid::regrole::text ~ '^orders_'))
