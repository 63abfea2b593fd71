-- No statement needs it any more: those that compare addresses have users_email_turn, users_email_prefix and users_email_claim.

DROP INDEX users_email;
