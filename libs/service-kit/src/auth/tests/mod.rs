mod authenticator;
mod refusals;
mod rotation;
