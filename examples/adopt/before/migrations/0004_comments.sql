CREATE TABLE comments (
    id         BIGINT      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    article_id BIGINT      NOT NULL REFERENCES articles ON DELETE CASCADE,
    author_id  BIGINT      NOT NULL REFERENCES users ON DELETE CASCADE,
    body       TEXT        NOT NULL,
    created    TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE INDEX comments_by_article ON comments (article_id, id);
