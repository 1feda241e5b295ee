CREATE TABLE users (
    id       BIGINT      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username TEXT        NOT NULL CONSTRAINT username_taken UNIQUE,
    email    TEXT        NOT NULL CONSTRAINT email_taken UNIQUE,
    password TEXT        NOT NULL,
    joined   TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- Times, as clients see them.
CREATE FUNCTION iso(at TIMESTAMPTZ) RETURNS TEXT LANGUAGE SQL IMMUTABLE AS
    $$ SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') $$;
