-- On whose behalf it was authorised. Payments of earlier releases belong to no one: only modules see them.
ALTER TABLE payments ADD COLUMN user_id TEXT NOT NULL DEFAULT '';
