CREATE TABLE articles (
    id        BIGINT      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    author_id BIGINT      NOT NULL REFERENCES users ON DELETE CASCADE,
    slug      TEXT        NOT NULL UNIQUE,
    title     TEXT        NOT NULL,
    summary   TEXT        NOT NULL,
    body      TEXT        NOT NULL,
    created   TIMESTAMPTZ NOT NULL DEFAULT now(),
    changed   TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE INDEX articles_by_author ON articles (author_id, created);

CREATE TABLE tags (
    id   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT   NOT NULL UNIQUE
);

CREATE TABLE article_tags (
    article_id BIGINT NOT NULL REFERENCES articles ON DELETE CASCADE,
    tag_id     BIGINT NOT NULL REFERENCES tags,
    PRIMARY KEY (article_id, tag_id)
);

CREATE TABLE favourites (
    article_id BIGINT NOT NULL REFERENCES articles ON DELETE CASCADE,
    user_id    BIGINT NOT NULL REFERENCES users ON DELETE CASCADE,
    PRIMARY KEY (article_id, user_id)
);
