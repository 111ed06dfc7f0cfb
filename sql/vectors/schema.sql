-- The vector store: what the recommender's embeddings are served from, in PostgreSQL with pgvector.
-- The first publication runs this by itself. Where its login may not create extensions and roles, an
-- administrator runs it once, and grants recommender_publisher to that login:
--     psql -v ON_ERROR_STOP=1 -1 -f schema.sql
--
-- Each published version has plain tables of its own, such as products_17, and one row of
-- recommender.live says which version is served. The functions below read that row and the version's
-- tables in one statement; they are all that a reader may use, so he never sees two versions mixed.
-- Without JIT, which would compile for longer than a search takes.
CREATE EXTENSION IF NOT EXISTS vector;

DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'recommender_publisher') THEN
    CREATE ROLE recommender_publisher NOLOGIN;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'recommender_reader') THEN
    CREATE ROLE recommender_reader NOLOGIN;
  END IF;
END
$$;

GRANT recommender_publisher TO CURRENT_USER;
CREATE SCHEMA IF NOT EXISTS recommender AUTHORIZATION recommender_publisher;

SET LOCAL ROLE recommender_publisher;
GRANT USAGE ON SCHEMA recommender TO recommender_reader;

CREATE TABLE IF NOT EXISTS recommender.versions (
  version bigint PRIMARY KEY,
  model_version text NOT NULL,
  published_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  products integer NOT NULL,
  customers integer NOT NULL,
  ef_search integer, -- NULL: no index, every search is exact
  history_in_session real NOT NULL,
  buy_again real NOT NULL,
  buy_again_in_session real NOT NULL,
  description jsonb NOT NULL
);

CREATE TABLE IF NOT EXISTS recommender.live (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  version bigint NOT NULL REFERENCES recommender.versions
);

-- Functions are made anew: one whose columns changed could not be replaced. Who asks meanwhile has
-- the old ones until the end of the transaction.
DO $$
DECLARE
  old regprocedure;
BEGIN
  FOR old IN SELECT oid FROM pg_proc WHERE pronamespace = 'recommender'::regnamespace LOOP
    EXECUTE format('DROP FUNCTION %s', old);
  END LOOP;
END
$$;

-- The version that is served.
CREATE FUNCTION recommender.live_version()
RETURNS recommender.versions
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = recommender, public, pg_temp
AS $$
  SELECT v.* FROM versions v JOIN live l ON l.version = v.version
$$;

-- What someone is known by, as a vector to multiply with a column of products_<version>.
-- Strategy is what it is known by: known+session, known (customer), features (of a session of someone
-- unknown), session, or popularity; a session of no known product is none.
CREATE FUNCTION recommender.query_vector(
  of_version bigint, of_customer bigint, of_session text[], of_features jsonb,
  OUT strategy text, OUT is_session boolean, OUT target text, OUT query vector,
  OUT is_customer boolean, OUT bought text[]
)
LANGUAGE plpgsql STABLE SET search_path = recommender, public, pg_temp
AS $$
DECLARE
  past vector;
  prior vector;
BEGIN
  IF of_customer IS NOT NULL THEN
    EXECUTE format(
      'SELECT vector::vector, session_vector::vector,'
      ' array(SELECT product_code FROM purchases_%1$s WHERE customer_number = $1)'
      ' FROM customers_%1$s WHERE customer_number = $1',
      of_version
    ) INTO query, past, bought USING of_customer;
  END IF;
  is_customer := query IS NOT NULL;
  is_session := false;
  strategy := CASE WHEN is_customer THEN 'known' ELSE 'popularity' END;
  target := 'target';
  IF cardinality(of_session) > 0 THEN
    DECLARE
      browsed vector;
    BEGIN
      EXECUTE format(
        'SELECT sum(session_context::vector) FROM products_%s WHERE product_code = ANY ($1)',
        of_version
      ) INTO browsed USING of_session;
      IF browsed IS NOT NULL THEN
        IF NOT is_customer AND of_features IS NOT NULL THEN
          EXECUTE format(
            'SELECT sum(vector::vector) FROM features_%s f '
            'JOIN jsonb_each_text($1) told ON told.key = f.feature AND told.value = f.value',
            of_version
          ) INTO prior USING of_features;
        END IF;
        is_session := true;
        strategy := CASE WHEN is_customer THEN 'known+session'
          WHEN prior IS NOT NULL THEN 'features' ELSE 'session' END;
        target := 'session_target';
        query := browsed;
        IF past IS NOT NULL THEN query := query + past; END IF;
        IF prior IS NOT NULL THEN query := query + prior; END IF;
      END IF;
    END;
  END IF;
END
$$;

-- The best products for a customer, a session, or a customer's session; of the live version.
CREATE FUNCTION recommender.recommend(
  of_customer bigint,
  of_session text[],
  of_features jsonb DEFAULT NULL,
  wanted integer DEFAULT 10,
  with_repeats boolean DEFAULT false,
  of_line text DEFAULT NULL
)
RETURNS TABLE (
  rank integer, product_code text, product_name text, score real, strategy text, version bigint
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = recommender, public, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  chosen versions;
  asker record;
  browsed text[] := coalesce(of_session, '{}');
  excluded text[];
  fetched integer;
  line text := CASE WHEN of_line IS NULL THEN '' ELSE 'AND p.product_line = $6' END;
BEGIN
  SELECT v.* INTO chosen FROM versions v JOIN live l ON l.version = v.version;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  asker := query_vector(chosen.version, of_customer, browsed, of_features);
  IF asker.strategy = 'popularity' THEN
    RETURN QUERY EXECUTE format(
      'SELECT (row_number() OVER ())::integer, p.product_code, p.product_name, '
      'ln(1 + p.recent_buyers)::real, $3, $4 FROM ('
      '  SELECT * FROM products_%1$s p WHERE p.product_code <> ALL ($1) %2$s'
      '  ORDER BY p.recent_buyers DESC, p.product_code LIMIT $2) p',
      chosen.version, line
    ) USING browsed, wanted, asker.strategy, chosen.version, NULL::text, of_line;
    RETURN;
  END IF;
  excluded := CASE WHEN with_repeats THEN browsed ELSE browsed || asker.bought END;
  -- What must not be answered is fetched too, and left out afterwards.
  fetched := wanted + cardinality(excluded);
  IF chosen.ef_search IS NOT NULL THEN
    PERFORM set_config(
      'hnsw.ef_search', least(1000, greatest(chosen.ef_search, fetched))::text, true
    ), set_config('hnsw.iterative_scan', 'strict_order', true);
  END IF;
  RETURN QUERY EXECUTE format(
    'SELECT (row_number() OVER (ORDER BY c.score DESC, c.product_code))::integer, c.product_code,'
    ' c.product_name, c.score::real, $3, $4 FROM (%1$s) c'
    ' WHERE c.product_code <> ALL ($5) ORDER BY 1 LIMIT $7',
    format(
      CASE WHEN asker.is_customer AND with_repeats THEN
        'SELECT product_code, product_name, max(score) AS score FROM ((%1$s) UNION ALL'
        ' SELECT p.product_code, p.product_name, -(p.%3$s <#> $1) + $8 * b.habit'
        ' FROM purchases_%2$s b JOIN products_%2$s p ON p.product_code = b.product_code'
        ' WHERE b.customer_number = $9 %4$s) c GROUP BY product_code, product_name'
      ELSE '%1$s' END,
      format(
        'SELECT p.product_code, p.product_name, -(p.%2$s <#> $1) AS score FROM products_%1$s p'
        ' WHERE true %3$s ORDER BY p.%2$s <#> $1 LIMIT $2',
        chosen.version, asker.target, line
      ),
      chosen.version, asker.target, line
    )
  ) USING
    asker.query::halfvec, fetched, asker.strategy, chosen.version, excluded, of_line, wanted,
    CASE WHEN asker.is_session THEN chosen.buy_again_in_session ELSE chosen.buy_again END,
    of_customer;
END
$$;

-- Why products were recommended: what the asker browsed or bought that speaks most for each.
-- Kind is browsed, bought, bought_before (the product itself), or popular where popularity has a
-- larger share of the score than taste.
CREATE FUNCTION recommender.reasons(
  of_customer bigint, of_session text[], recommended text[]
)
RETURNS TABLE (product_code text, kind text, because_code text, because_name text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = recommender, public, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  chosen versions;
  asker record;
BEGIN
  SELECT v.* INTO chosen FROM versions v JOIN live l ON l.version = v.version;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  asker := query_vector(chosen.version, of_customer, of_session, NULL);
  IF asker.strategy = 'popularity' THEN
    RETURN QUERY SELECT code, 'popular', NULL::text, NULL::text FROM unnest(recommended) code;
    RETURN;
  END IF;
  RETURN QUERY EXECUTE format(
    'WITH evidence AS ('
    '  SELECT p.product_code, p.product_name, ''browsed'' AS kind, 1::real AS weight, p.%2$s AS context'
    '  FROM products_%1$s p WHERE p.product_code = ANY ($1) AND $5'
    '  UNION ALL'
    '  SELECT p.product_code, p.product_name, ''bought'', b.weight * $3, p.%2$s'
    '  FROM purchases_%1$s b JOIN products_%1$s p ON p.product_code = b.product_code'
    '  WHERE b.customer_number = $2'
    ') '
    'SELECT r.product_code, '
    '  CASE WHEN e.product_code = r.product_code THEN ''bought_before'' WHEN e.tells THEN e.kind'
    '  ELSE ''popular'' END,'
    '  CASE WHEN e.tells AND e.product_code <> r.product_code THEN e.product_code END,'
    '  CASE WHEN e.tells AND e.product_code <> r.product_code THEN e.product_name END '
    'FROM products_%1$s r CROSS JOIN LATERAL ('
    '  SELECT e.product_code, e.product_name, e.kind, e.says > 0'
    '    AND subvector($6, 1, 64) <#> subvector(r.%3$s, 1, 64)'
    '      <= subvector($6, 65, 1) <#> subvector(r.%3$s, 65, 1) AS tells'
    '  FROM (SELECT e.product_code, e.product_name, e.kind,'
    '      -(subvector(e.context, 1, 64) <#> subvector(r.%3$s, 1, 64)) * e.weight AS says'
    '    FROM evidence e) e'
    '  ORDER BY (e.product_code = r.product_code) DESC, e.says DESC LIMIT 1'
    ') e WHERE r.product_code = ANY ($4)',
    chosen.version,
    CASE WHEN asker.is_session THEN 'session_context' ELSE 'context' END,
    asker.target
  ) USING
    of_session,
    of_customer,
    CASE WHEN asker.is_session THEN chosen.history_in_session ELSE 1 END,
    recommended,
    asker.is_session,
    asker.query::halfvec;
END
$$;

-- The products that go with one, of the live version.
CREATE FUNCTION recommender.similar_products(of_product text, wanted integer DEFAULT 10)
RETURNS TABLE (rank integer, product_code text, product_name text, score real, version bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = recommender, public, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  chosen bigint := (SELECT l.version FROM live l);
BEGIN
  IF chosen IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY EXECUTE format(
    'SELECT s.rank, p.product_code, p.product_name, s.score, $3 FROM similar_products_%1$s s '
    'JOIN products_%1$s p ON p.product_code = s.similar_product_code '
    'WHERE s.product_code = $1 AND s.rank <= $2 ORDER BY s.rank',
    chosen
  ) USING of_product, wanted, chosen;
END
$$;

-- The names of those of some products that the live version knows.
CREATE FUNCTION recommender.known_products(codes text[])
RETURNS TABLE (product_code text, product_name text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = recommender, public, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  chosen bigint := (SELECT l.version FROM live l);
BEGIN
  IF chosen IS NOT NULL THEN
    RETURN QUERY EXECUTE format(
      'SELECT product_code, product_name FROM products_%s WHERE product_code = ANY ($1)', chosen
    ) USING codes;
  END IF;
END
$$;

-- For who answers from memory: the live version, and in the same statement what it knows of some
-- customers: new ones, and where the version is another than the asker has, those of it that he
-- remembers. One row for each who is known, and one without a customer where none is.
CREATE FUNCTION recommender.live_customers(
  numbers bigint[], remembered bigint[] DEFAULT '{}', of_version bigint DEFAULT NULL
)
RETURNS TABLE (
  version bigint, customer_number bigint, vector halfvec, session_vector halfvec, bought text[],
  weights real[]
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = recommender, public, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  chosen bigint := (SELECT l.version FROM live l);
BEGIN
  IF chosen IS NULL THEN
    RETURN;
  END IF;
  RETURN QUERY EXECUTE format(
    'SELECT $2, c.customer_number, c.vector, c.session_vector, b.bought, b.weights'
    ' FROM (VALUES (true)) always LEFT JOIN customers_%1$s c ON c.customer_number = ANY ($1)'
    ' LEFT JOIN LATERAL (SELECT array_agg(p.product_code) AS bought, array_agg(p.weight) AS weights'
    '   FROM purchases_%1$s p WHERE p.customer_number = c.customer_number) b ON true',
    chosen
  ) USING CASE WHEN chosen = of_version THEN numbers ELSE numbers || remembered END, chosen;
END
$$;

-- The same: a whole version but for its customers, as rows of three kinds. The row of the version has
-- what purchases weigh in a session in scores; the row of a feature has its value in line.
CREATE FUNCTION recommender.live_model(of_version bigint)
RETURNS TABLE (
  kind text, code text, line text, in_stock boolean, recent_buyers bigint,
  context halfvec, target halfvec, session_context halfvec, session_target halfvec,
  similar_codes text[], scores real[]
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = recommender, public, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  -- A version that was dropped has no tables to read.
  IF NOT EXISTS (SELECT FROM versions v WHERE v.version = of_version) THEN
    RETURN;
  END IF;
  RETURN QUERY SELECT 'version', v.model_version, NULL::text, NULL::boolean, NULL::bigint,
    NULL::halfvec, NULL::halfvec, NULL::halfvec, NULL::halfvec, NULL::text[],
    ARRAY[v.history_in_session]
  FROM versions v WHERE v.version = of_version;
  RETURN QUERY EXECUTE format(
    'SELECT ''product'', p.product_code, p.product_line,'
    ' coalesce(p.quantity_in_stock, 1) > 0, p.recent_buyers::bigint,'
    ' p.context::halfvec, p.target::halfvec, p.session_context::halfvec, p.session_target::halfvec,'
    ' s.codes, s.scores'
    ' FROM products_%1$s p LEFT JOIN ('
    '  SELECT product_code, array_agg(similar_product_code ORDER BY rank) AS codes,'
    '    array_agg(score ORDER BY rank) AS scores FROM similar_products_%1$s GROUP BY product_code'
    ' ) s ON s.product_code = p.product_code',
    of_version
  );
  RETURN QUERY EXECUTE format(
    'SELECT ''feature'', f.feature, f.value, NULL::boolean, NULL::bigint,'
    ' f.vector::halfvec, NULL::halfvec, NULL::halfvec, NULL::halfvec, NULL::text[], NULL::real[]'
    ' FROM features_%1$s f',
    of_version
  );
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA recommender FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
  recommender.live_version(),
  recommender.recommend(bigint, text[], jsonb, integer, boolean, text),
  recommender.reasons(bigint, text[], text[]),
  recommender.similar_products(text, integer),
  recommender.known_products(text[]),
  recommender.live_customers(bigint[], bigint[], bigint),
  recommender.live_model(bigint)
TO recommender_reader;

-- What this file is, which a test keeps current: who publishes compares it with the database's.
COMMENT ON SCHEMA recommender IS 'retail vectors 241796db2313';
RESET ROLE;
