"""What gitOpsUpdateDeployment is made of: which images, by which tool, and what is looked at before anything is written."""
