-- What a customer may act as, with spaces between the words: `staff`.
ALTER TABLE users ADD COLUMN roles TEXT NOT NULL DEFAULT '';

-- What tokens are signed with. Anyone who can read it can make tokens.
CREATE TABLE signing_keys (
    -- 1, 2, 3 …: replicas that make the next key at the same time make one.
    number         BIGINT NOT NULL PRIMARY KEY,
    -- Its name in tokens.
    name           TEXT   NOT NULL,
    -- PKCS #8, in base64.
    private_key    TEXT   NOT NULL,
    signs_from_ms  BIGINT NOT NULL,
    signs_until_ms BIGINT NOT NULL,
    -- Until then it is published: all its tokens have expired.
    shown_until_ms BIGINT NOT NULL
);

-- The table `sessions` is not used any more. The release before this one still writes to it while both run.
