-- What happened to each user on each day. Nothing personal: the log's headers say it for ever.
CREATE TABLE {p}.activity (
    tenant_id text COLLATE "C" NOT NULL,
    user_id uuid NOT NULL,
    day date NOT NULL,
    creates bigint NOT NULL,
    updates bigint NOT NULL,
    deletes bigint NOT NULL,
    PRIMARY KEY (tenant_id, user_id, day)
);

-- The identity provider of each user who has one. Personal.
CREATE TABLE {p}.links (
    tenant_id text COLLATE "C" NOT NULL,
    user_id uuid NOT NULL,
    provider text NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
);
