"""Images: who may log in where, plan, transfer."""
